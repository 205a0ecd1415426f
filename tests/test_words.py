"""The code uses the field's standard terms: a private metaphor, once replaced, does not come back."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
# Each word with the term that stands in its place.
REPLACED = {
    "Estate": "EngineSnapshot",
    "BookLeft": "BookSnapshot",
    "FillLeft": "FillSnapshot",
    "RunLeft": "RunSnapshot",
    "TakeOver": "Restore",
    "Life": "JournalInfo, generation or TimeInForce",
    "Keeper": "ConnectionManager, StateStore or StateRecorder",
    "Ears": "TwsCallbacks",
    "Rooms": "TwsBooks",
    "Office": "ConnectionHooks",
    "Lobby": "SessionRegistry",
    "House": "GatewayContext",
    "Guest": "ClientSession",
    "Room": "RequestHandler",
    "Reception": "SessionHost or LoginService",
    "Turnstile": "MessageThrottle",
    "Vigil": "RevocationMonitor",
    "StrategyShelf": "StrategyRegistry",
    "Floor": "OrderHandler",
    "Telling": "Notifier",
    "Audience": "VenueListener",
    "Watching": "MarketWatch",
    "Consequences": "LinkedOrders",
    "Labor": "TimeSlicer",
    "Prospect": "ProjectedTrade",
    "Outlook": "MarginProjection",
    "Line": "InstrumentState or PortConnection",
    "Door": "PortTransport",
    "Pulse": "Heartbeat",
    "Following": "FeedFollower",
    "ByHand": "ManualOrders",
    "Questions": "Queries",
    "Surroundings": "ProcessContext",
    "Belongings": "CleanupStack",
    "Replays": "IdempotencyStore",
    "Demand": "RequiredRole",
}
MODULES = {re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower() for name in REPLACED} | {"lives", "doubts"}


def sources() -> list[Path]:
    return [path for folder in ("platform", "server") for path in sorted((ROOT / folder).rglob("*.py"))]


def classes(source: str) -> Iterator[str]:
    """Yield the names of the classes and of what is imported under a name of its own."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.Import | ast.ImportFrom):
            yield from (alias.asname for alias in node.names if alias.asname)


def test_no_class_has_a_replaced_name() -> None:
    found = [
        f"{path.relative_to(ROOT)}: {name} is {REPLACED[name.lstrip('_')]} here"
        for path in sources()
        for name in classes(path.read_text(encoding="utf-8"))
        if name.lstrip("_") in REPLACED
    ]

    assert found == []


def test_no_module_has_a_replaced_name() -> None:
    found = [
        str(path.relative_to(ROOT))
        for path in sources()
        if MODULES & {part.removesuffix(".py").lstrip("_") for part in path.relative_to(ROOT).parts}
    ]

    assert found == []


@pytest.mark.parametrize("source", ["class Estate: ...", "class _Keeper: ...", "import abc as House"])
def test_a_replaced_name_is_found(source: str) -> None:
    assert [name for name in classes(source) if name.lstrip("_") in REPLACED]
