"""The house keeps its layers: who may import whom, and who may read a clock."""

from __future__ import annotations

import ast
import functools
import importlib
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import ibdesk
from ibdesk.strategy.replayable import LIBRARIES, STANDARD_LIBRARY

ROOT = Path(__file__).parent.parent

# A room may import only what stands in a row below its own; all use the last row.
LAYERS = (
    {"cli", "notebook", "testing", "ibdesk_server"},
    # The simulation holds desks, a gateway and a guardian at once.
    {"simulation"},
    {"desk", "promotion", "views"},
    {"guardian", "statement"},
    {"backtest", "tws", "gateway", "store"},
    {"telemetry"},
    {"engine", "exchange", "strategy"},
    {"data", "indicators"},
    {"model", "config", "clock"},
    {"errors", "interrupts", "lazy", "display"},
)
# Doors between rooms of one row: the engine calls strategies, the command line starts the server.
DOORS = {("engine", "strategy"), ("cli", "ibdesk_server")}

# Rooms in which the same events give the same actions on any machine, on any day.
PURE = {"engine", "exchange", "strategy", "indicators", "model"}
IMPURE_IMPORTS = {
    "asyncio",
    "concurrent",
    "fastapi",
    "ib_async",
    "ibdesk.clock",
    "multiprocessing",
    "numpy.random",
    "random",
    "redis",
    "secrets",
    "socket",
    "threading",
    "time",
    "uuid",
}
CLOCK_READINGS = {"now", "now_ns", "today", "utcnow"}

# A foreign library has one room, or few, that know it.
RESERVED = {
    "ib_async": {"tws"},
    "fastapi": {"ibdesk_server"},
    "starlette": {"ibdesk_server"},
    "uvicorn": {"ibdesk_server", "cli"},
    "panel": {"views", "notebook", "ibdesk_server"},
    "IPython": {"notebook"},
    "exchange_calendars": {"data"},
    # Clients that the gateway is tried with; IB's own has a license that this code must stay clear of.
    "ibapi": set(),
    "ib_insync": set(),
    "redis": {"store"},
    "purgatory": {"store"},
    "structlog": {"telemetry"},
}


@dataclass(frozen=True)
class Module:
    """The source of one module, by its dotted name."""

    name: str
    tree: ast.Module

    @functools.cached_property
    def nodes(self) -> list[ast.AST]:
        """Every node of the tree."""
        return list(ast.walk(self.tree))

    @property
    def room(self) -> str:
        """`engine` for `ibdesk.engine.blotter`, `ibdesk_server` for all of the server, empty for `ibdesk`."""
        parts = self.name.split(".")
        if parts[0] == "ibdesk":
            return parts[1] if len(parts) > 1 else ""
        return parts[0]

    def imports(self) -> Iterator[str]:
        """Every imported name in full: `from a import b` gives `a.b`. A relative one starts with a dot."""
        for node in self.nodes:
            if isinstance(node, ast.Import):
                yield from (alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                origin = "." * node.level + (node.module or "")
                yield from (f"{origin}.{alias.name}" for alias in node.names)


Rule = Callable[[Module], Iterator[str]]


def is_within(name: str, package: str) -> bool:
    return name == package or name.startswith(f"{package}.")


def row_of(room: str) -> int:
    return next(row for row, rooms in enumerate(LAYERS) if room in rooms)


def target_room(name: str) -> str | None:
    """The room that an import reaches; empty for the public names of `ibdesk`, None outside the house."""
    parts = name.split(".")
    if parts[0] == "ibdesk_server":
        return parts[0]
    if parts[0] != "ibdesk":
        return None
    rooms = set().union(*LAYERS) - {"ibdesk_server"}
    return parts[1] if len(parts) > 1 and parts[1] in rooms else ""


def climbs(module: Module) -> Iterator[str]:
    """Imports that do not lead downward."""
    if not module.room:
        return
    row = row_of(module.room)
    for name in module.imports():
        if name.startswith("."):
            yield f"{module.name} imports {name} by a relative path"
            continue
        room = target_room(name)
        if room is None or room == module.room or (module.room, room) in DOORS:
            continue
        # The public names of `ibdesk` reach up to the desk, so only the top row may use them.
        if row_of(room or "desk") <= row:
            yield f"{module.name} imports {name}, which does not stand below it"


def depends_on_the_day(module: Module) -> Iterator[str]:
    """Imports and calls through which a pure room would see time, chance or the network."""
    if module.room not in PURE:
        return
    for name in module.imports():
        if any(is_within(name, impure) for impure in IMPURE_IMPORTS):
            yield f"{module.name} imports {name}"
    yield from reads_a_clock(module)


def reads_a_clock(module: Module) -> Iterator[str]:
    called = {node.func for node in module.nodes if isinstance(node, ast.Call)}
    for node in module.nodes:
        if not isinstance(node, ast.Attribute) or node.attr not in CLOCK_READINGS | {"random"}:
            continue
        owner = ast.unparse(node.value)
        on_the_class = owner.rpartition(".")[2] in {"date", "datetime"}
        if node.attr in CLOCK_READINGS and (node in called or on_the_class):
            yield f"{module.name}:{node.lineno} reads a clock: {owner}.{node.attr}"
        if node.attr == "random" and owner in {"np", "numpy"}:
            yield f"{module.name}:{node.lineno} draws lots: {owner}.{node.attr}"


def takes_reserved(module: Module) -> Iterator[str]:
    """Imports of a library that belongs to another room."""
    for name in module.imports():
        for library, rooms in RESERVED.items():
            if is_within(name, library) and module.room not in rooms:
                yield f"{module.name} imports {name}, which is for {', '.join(sorted(rooms))}"


def loads_twice(module: Module) -> Iterator[str]:
    """Names that would load our code a second time, as a part of the folder that holds it."""
    doubles = ("server.ibdesk_server", "platform.ibdesk")
    strings = (
        node.value
        for node in module.nodes
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value not in doubles
    )
    for name in [*module.imports(), *strings]:
        if any(name.startswith(double) for double in doubles):
            yield f"{module.name} names {name}: leave out the folder"


def strays(module: Module) -> Iterator[str]:
    """What keeps a strategy from being replayed: imports outside the list, readings of a clock."""
    public = {"ibdesk", *(f"ibdesk.{name}" for name in ibdesk.__all__)}
    for name in module.imports():
        if name not in public and not any(is_within(name, allowed) for allowed in LIBRARIES | STANDARD_LIBRARY):
            yield f"{module.name} imports {name}, which a strategy may not"
    yield from reads_a_clock(module)


@functools.cache
def modules(folder: str) -> list[Module]:
    """Every Python file below a folder, named as it is imported from there."""
    found = []
    for path in sorted((ROOT / folder).rglob("*.py")):
        name = ".".join(path.relative_to(ROOT / folder).with_suffix("").parts).removesuffix(".__init__")
        found.append(Module(name, ast.parse(path.read_text(encoding="utf-8"), path.name)))
    return found


@pytest.fixture(scope="module", autouse=True)
def forgotten() -> Iterator[None]:
    """Let go of the trees afterwards: the tests that come later would collect garbage around them."""
    yield
    modules.cache_clear()
    lazy_packages.cache_clear()


def breaches(rule: Rule, *folders: str) -> list[str]:
    return [breach for folder in folders for module in modules(folder) for breach in rule(module)]


@pytest.mark.proof
@pytest.mark.parametrize("rule", [climbs, depends_on_the_day, takes_reserved])
def test_the_house_keeps_the_rule(rule: Rule) -> None:
    assert breaches(rule, "platform", "server") == []


@pytest.mark.slow
def test_no_code_is_loaded_a_second_time_under_another_name() -> None:
    assert breaches(loads_twice, "platform", "server", "strategies", "tests") == []


@pytest.mark.proof
def test_a_strategy_stands_only_on_what_can_be_replayed() -> None:
    assert breaches(strays, "strategies") == []


def test_every_module_was_looked_at() -> None:
    seen = [module for folder in ("platform", "server") for module in modules(folder)]
    names = {module.name for module in seen}

    assert {"ibdesk", "ibdesk.errors", "ibdesk.model.order", "ibdesk_server"} <= names
    assert {module.room for module in seen} - {""} <= set().union(*LAYERS)


OFFENCES = [
    (climbs, "ibdesk.engine.blotter", "from ibdesk.tws import TwsService"),
    (climbs, "ibdesk.model.order", "from ibdesk import engine"),
    (climbs, "ibdesk.errors", "from ibdesk.model import Order"),
    (climbs, "ibdesk.gateway.server", "from ibdesk.tws.service import TwsService"),
    (climbs, "ibdesk.strategy.base", "import ibdesk.engine"),
    (climbs, "ibdesk.desk.runtime", "from ibdesk import Bar"),
    (climbs, "ibdesk.desk.runtime", "def f() -> None:\n    import ibdesk_server.app"),
    (climbs, "ibdesk.store.journal", "if TYPE_CHECKING:\n    from ibdesk.desk import Desk"),
    (climbs, "ibdesk_server.app", "from ibdesk.cli import main"),
    (climbs, "ibdesk.engine.risk", "from .blotter import Blotter"),
    (depends_on_the_day, "ibdesk.engine.engine", "import asyncio"),
    (depends_on_the_day, "ibdesk.engine.engine", "from time import monotonic"),
    (depends_on_the_day, "ibdesk.engine.engine", "from ibdesk.clock import SystemClock"),
    (depends_on_the_day, "ibdesk.exchange.slippage", "import random"),
    (depends_on_the_day, "ibdesk.exchange.slippage", "rng = np.random.default_rng()"),
    (depends_on_the_day, "ibdesk.model.order", "from uuid import uuid4"),
    (depends_on_the_day, "ibdesk.model.bar", "at = dt.datetime.now(dt.UTC)"),
    (depends_on_the_day, "ibdesk.model.bar", "made: dt.datetime = field(default_factory=dt.datetime.now)"),
    (depends_on_the_day, "ibdesk.strategy.base", "day = date.today()"),
    (depends_on_the_day, "ibdesk.indicators.ema", "at = clock.now_ns()"),
    (takes_reserved, "ibdesk.gateway.server", "import ib_async"),
    (takes_reserved, "ibdesk_server.app", "from ib_async import IB"),
    (takes_reserved, "ibdesk.desk.runtime", "from fastapi import FastAPI"),
    (takes_reserved, "ibdesk.backtest.report", "import panel as pn"),
    (loads_twice, "test_app", "import server.ibdesk_server"),
    (loads_twice, "test_app", "from platform.ibdesk.model import Bar"),
    (loads_twice, "test_app", "uvicorn.run('server.ibdesk_server.app:create')"),
    (strays, "ema_cross", "import os"),
    (strays, "ema_cross", "from ibdesk.engine import Engine"),
    (strays, "ema_cross", "import requests"),
    (strays, "ema_cross", "at = datetime.utcnow()"),
]


@pytest.mark.parametrize(("rule", "name", "source"), OFFENCES)
def test_an_offence_is_found(rule: Rule, name: str, source: str) -> None:
    assert len(list(rule(Module(name, ast.parse(source))))) == 1


LAWFUL = [
    (climbs, "ibdesk.engine.blotter", "from ibdesk.engine.risk import Gate\nfrom ibdesk.model import Order"),
    (climbs, "ibdesk.engine.engine", "from ibdesk.strategy import Strategy"),
    (climbs, "ibdesk.cli.demo", "from ibdesk import Desk\nimport ibdesk_server.app"),
    (climbs, "ibdesk", "from ibdesk.desk import Desk"),
    (depends_on_the_day, "ibdesk.engine.engine", "age = self.now - quote.at_ns"),
    (depends_on_the_day, "ibdesk.tws.service", "import asyncio"),
    (takes_reserved, "ibdesk.tws.service", "import ib_async"),
    (loads_twice, "test_app", "import platform\nprint(platform.system())"),
    (strays, "ema_cross", "import math\nfrom collections.abc import Sequence\nimport polars as pl"),
]


@pytest.mark.parametrize(("rule", "name", "source"), LAWFUL)
def test_what_is_lawful_is_left_alone(rule: Rule, name: str, source: str) -> None:
    assert list(rule(Module(name, ast.parse(source)))) == []


@functools.cache
def lazy_packages() -> dict[str, dict[str, str]]:
    """The packages that load their names at first use, each with the module of each of its names."""
    found: dict[str, dict[str, str]] = {}
    for module in [*modules("platform"), *modules("server")]:
        if any(name.endswith("lazy.at_first_use") for name in module.imports()):
            blocks = [node for node in module.tree.body if isinstance(node, ast.If)]
            imports = [node for block in blocks for node in block.body if isinstance(node, ast.ImportFrom)]
            found[module.name] = {alias.name: str(node.module) for node in imports for alias in node.names}
    return found


@pytest.mark.parametrize("package", ["ibdesk", "ibdesk.desk", "ibdesk.gateway", "ibdesk_server.client"])
def test_packages_that_load_at_first_use_were_found(package: str) -> None:
    assert len(lazy_packages()[package]) > 5


def test_what_a_package_loads_at_first_use_is_what_it_says() -> None:
    """Also after the module that a name is from was imported: one of the same name would stand in its place."""
    for package, homes in lazy_packages().items():
        room = importlib.import_module(package)
        assert set(homes) <= set(room.__all__)
        assert set(room.__all__) <= set(dir(room))
        for name, home in homes.items():
            # The package of that name can be called like its function.
            if (package, name) == ("ibdesk", "backtest"):
                continue
            assert getattr(room, name) is getattr(importlib.import_module(home), name), f"{package}.{name}"
        with pytest.raises(AttributeError, match="has no attribute 'nonsense'"):
            room.nonsense  # noqa: B018 - asking is the test


def test_settings_are_read_without_the_libraries_of_engine_and_server() -> None:
    heavy = {"polars", "numpy", "ib_async", "fastapi", "starlette", "prometheus_client", "uvicorn", "panel", "redis"}
    program = f"import sys, ibdesk_server.settings; print({heavy} & set(sys.modules))"

    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=55)

    assert told.stdout.strip() == "set()"
