"""The generated pages of the reference name everything there is: commands, settings, routes, metrics and the rest."""

from __future__ import annotations

import asyncio
import functools
import inspect
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import httpx
import pytest
from tests.server.conftest import api, desk, key, server_settings, start_web, strategies_folder, web

from ibdesk.cli.app import root
from ibdesk.config import example
from ibdesk.engine.risk_controls import CONTROLS
from ibdesk.errors import IbdeskError
from ibdesk.gateway.faults.kinds import KINDS
from ibdesk.gateway.protocol.incoming import INCOMING
from ibdesk.gateway.protocol.outgoing import OUTGOING
from ibdesk.model.action import Action
from ibdesk.model.event import EVENT_KINDS
from ibdesk.store.feed import Topic
from ibdesk_reference import PARTS, commands, errors, feed, filled, journal, metrics, python, rest, risk, settings
from ibdesk_server import app, problems
from ibdesk_server.answers import OrderAnswer
from ibdesk_server.client import ApiClient, FeedClient, calls
from ibdesk_server.feed import protocol
from ibdesk_server.feed.endpoint import FEED_PATH
from ibdesk_server.serve import WebServer
from ibdesk_server.settings import Settings

PAGES = Path(__file__).parents[2] / "docs" / "reference"
# The fixtures of a served desk.
__all__ = ["api", "desk", "key", "server_settings", "start_web", "strategies_folder", "web"]

pytestmark = pytest.mark.timeout(300)


@functools.cache
def page(name: str) -> str:
    """Return a page as the documentation has it."""
    return filled((PAGES / f"{name}.md").read_text())


def test_each_generated_part_stands_on_one_page() -> None:
    marks = [mark for file in PAGES.glob("*.md") for mark in re.findall(r"<!-- generated: (\w+) -->", file.read_text())]

    assert Counter(marks) == dict.fromkeys(PARTS, 1)


def test_the_first_page_lists_the_others() -> None:
    text = (PAGES / "index.md").read_text()

    assert {file.name for file in PAGES.glob("*.md")} - {"index.md"} == set(re.findall(r"\]\((\S+\.md)\)", text))


def test_a_mark_of_a_part_that_is_not_there_is_refused() -> None:
    with pytest.raises(KeyError, match="no generated part is named nothing"):
        filled("<!-- generated: nothing -->")


@pytest.mark.parametrize("name", sorted(file.stem for file in PAGES.glob("*.md")))
def test_no_anchor_stands_twice_on_a_page_and_each_is_led_to_within_it(name: str) -> None:
    text = page(name)
    targets = re.findall(r"^\((\S+)\)=$", text, re.MULTILINE)
    others = {
        target for each in PAGES.glob("*.md") for target in re.findall(r"^\((\S+)\)=$", page(each.stem), re.MULTILINE)
    }

    assert [each for each, count in Counter(each.lower() for each in targets).items() if count > 1] == []
    assert set(re.findall(r"\]\(#(\S+?)\)", text)) - others == set()


def test_every_command_and_each_of_its_options_is_named() -> None:
    text = page("commands")
    found = list(commands.walk(root()))
    names = {" ".join(path) for path, _ in found}

    assert {"ibdesk demo", "ibdesk config show", "ibdesk stop"} < names
    assert len(names) > 35
    for path, command in found:
        entry = text.partition(f"### `{' '.join(path)}`\n")[2].partition("\n### ")[0]
        for parameter in command.params:
            if parameter.param_type_name == "option" and not parameter.hidden and parameter.name != "help":
                assert parameter.opts[0] in entry, f"{path}: {parameter.opts}"


def test_every_setting_is_named_with_its_variable() -> None:
    text = page("settings")

    for setting in Settings.catalog().settings.values():
        assert f"| `{setting.name}`<br>`{setting.variable}` |" in text
    assert len(re.findall(r"^#\w+ = ", example(Settings), re.MULTILINE)) == text.count("<br>`IBDESK_")


@pytest.mark.parametrize(
    ("name", "kind", "default"),
    [
        ("tws.port", "integer", "`7497`"),
        ("risk.max_price_age_options", "number", "`300`"),
        ("ema_spans", "list of integer", "`12`, `26`, `200`"),
        ("redis.url", "secret", "not set"),
        ("mode", "choice", "`embedded`"),
        ("state_folder", "path", "`~/.local/state/ibdesk`"),
        ("server.key_file", "path", "`~/.local/state/ibdesk/api.key`"),
        ("gateway.cash", "number", "`1000000`"),
        ("guardian.enabled", "true or false", "`true`"),
    ],
)
def test_a_setting_has_its_type_and_default(name: str, kind: str, default: str) -> None:
    setting = Settings.catalog().settings[tuple(name.split("."))]

    assert f"| `{name}`<br>`{setting.variable}` | {kind}<br>{default} |" in page("settings")


def test_the_defaults_of_the_gateway_alone_are_named() -> None:
    assert "has other defaults: `port = 7497`, `invent = true`, `pacing = true`." in page("settings")


def test_the_page_of_settings_is_the_same_on_every_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    here = settings.as_markdown()
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))

    assert settings.as_markdown() == here


def test_every_route_parameter_and_body_is_named() -> None:
    text, document = page("rest"), rest.document()

    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            entry = text.partition(f"### `{rest.name_of(method, path)}`\n")[2].partition("\n### ")[0]
            assert operation["summary"] in entry, (method, path)
            for parameter in operation.get("parameters", ()):
                assert f"| `{parameter['name']}` |" in entry
    for name, schema in document["components"]["schemas"].items():
        entry = text.partition(f"### `{schema['title']}`\n")[2].partition("\n### ")[0]
        for field in schema.get("properties", {}):
            assert f"| `{field}` |" in entry, name


def test_every_event_action_and_schema_of_the_journal_is_named() -> None:
    text = page("journal")

    for kind in (*EVENT_KINDS, *(journal.tag_of(cls) for cls in get_args(Action))):
        assert f"### `{kind}`\n" in text
    assert "`at_ns`" in text
    assert "**5**" in text


def test_every_limit_and_every_rule_that_denies_is_named() -> None:
    text = page("risk-rules")

    for name in risk.limits():
        assert f"[`{name}`](#settings-risk)" in text
    for rule in ("link", "halt", "crossed_market", "external_change", "weekend_reset", "budget.max_order"):
        assert f"`{rule}`" in text
    assert "| `max_daily_loss` | `inf` | halts the run, as `risk.on_daily_loss` says |" in text
    for control in CONTROLS:
        assert f"| {control.name} |" in text


def test_every_error_has_an_entry_that_says_its_type_and_status() -> None:
    text = page("errors")

    def below(error: type[IbdeskError]) -> Iterator[type[IbdeskError]]:
        for each in error.__subclasses__():
            yield each
            yield from below(each)

    ours = {each for each in below(IbdeskError) if each.__module__.startswith(("ibdesk.", "ibdesk_server."))}
    assert ours <= set(errors.error_classes())
    for error, _ in problems._STATUS_OF:
        assert f"(error-{error.__name__.lower()})=\n### {error.__name__}\n" in text
        assert f"`urn:ibdesk:{error.__name__}`" in text
    assert "* Problem type: `urn:ibdesk:OrderDeniedError`, status `409` Conflict." in text
    assert "* Facts: `order_id`, `rule`, `limit`, `asked`." in text


def test_every_message_topic_and_close_code_of_the_feed_is_named() -> None:
    text = page("feed")

    for message in (*get_args(protocol.ClientMessage), *get_args(protocol.ServerMessage)):
        assert f"### `{message.__struct_config__.tag}`" in text
    for topic in Topic:
        about = text.partition(f"(feed-{topic.value})=\n### `{topic.value}`\n\n")[2].partition("\n")[0]
        assert len(about) > len("."), topic
    for code in (1001, 1003, 1007, 1008, 1009, 1013, 4401):
        assert f"| `{code}` |" in text


def test_every_fault_and_message_of_the_gateway_is_named() -> None:
    text = page("gateway")

    for kind in KINDS:
        assert re.search(
            rf"^\| \[`{kind}`\]\(\S+\) \| .+ \| (captured|documented|reported|believed) \|$", text, re.M
        ), kind
    for message in (*INCOMING.values(), *OUTGOING.values()):
        assert f"| {message.id} | `{message.name}` |" in text


@pytest.mark.parametrize("package", sorted(set(python.PACKAGES) - {"ibdesk.testing"}))
def test_every_public_name_is_listed(package: str) -> None:
    text = page("python").partition(f"## `{package}`\n")[2].partition("\n## ")[0]

    names = python.public_names(package)
    assert names
    for name in names:
        assert f"| [`{name}`](#python-" in text or f"| `{name}` |" in text


async def test_every_metric_that_a_server_has_is_named(web: WebServer, api: httpx.AsyncClient) -> None:
    answer = (await api.get("/health/metrics", headers={"Accept": "application/json"})).raise_for_status().json()
    families = {family.name: family for family in metrics.families()}
    text = page("metrics")

    assert set(answer) - set(families) == set()
    assert len(answer) > 30
    for name, samples in answer.items():
        for sample in samples:
            labels = set(sample["labels"]) - {"worker", "le"}
            assert labels == set(families[name].labels), name
            assert f"`{sample['name']}`" in text or sample["name"].endswith("_created")
    for family in families.values():
        assert all(f"`{sample}`" in text for sample in family.samples)


async def test_the_columns_of_each_topic_are_those_of_the_feed(
    web: WebServer, api: httpx.AsyncClient, key: str
) -> None:
    seen: dict[str, set[str]] = {}
    wanted = {
        "quotes",
        "bars",
        "orders",
        "fills",
        "positions",
        "runs",
        "equity",
        "pnl",
        "link",
        "account",
        "risk",
        "emas",
    }
    async with asyncio.timeout(120), FeedClient(web.feed_url, key) as client:
        run = {"file": "buyer.py", "symbols": ["AAPL"], "bar": "10 secs", "parameters": {"size": 1}}
        (await api.post("/api/v1/runs", json=run)).raise_for_status()
        while not wanted <= set(seen):
            message = await anext(client)
            for row in message.rows:
                seen.setdefault(message.topic, set()).update(row)

    for topic, columns in seen.items():
        said = feed.columns_of(Topic(topic))
        if topic == "emas":
            said = [*said[:-1], "ema_12", "ema_26", "ema_200"]
        assert columns == set(said), topic


def test_every_fixture_of_the_plug_in_is_listed() -> None:
    assert {"gateway", "market", "faults", "desk"} == set(python.fixtures())
    for name in python.fixtures():
        assert f"\n| `{name}` | " in page("python")


def test_a_method_of_a_client_is_shown_with_what_it_takes_and_returns() -> None:
    def order(client: ApiClient, order_id: str) -> OrderAnswer:
        raise NotImplementedError

    method = functools.wraps(calls.order)(order)

    python.sign_client_method(method)

    signature = inspect.signature(method)
    assert list(signature.parameters) == ["client", "order_id"]
    assert signature.return_annotation is OrderAnswer


def test_a_default_that_is_a_setting_leads_to_it() -> None:
    entry = page("commands").partition("### `ibdesk web`\n")[2].partition("\n### ")[0]

    assert "`8000`, from [`server.port`](#settings-server)" in entry


def test_every_address_outside_of_the_document_is_named() -> None:
    hidden = [route.path for route in app._ROUTES if not route.include_in_schema]

    assert {"/docs", "/openapi.json", "/feed.js"} <= set(hidden)
    for path in [*hidden, FEED_PATH]:
        assert f"`{path}`" in page("rest") + page("feed")


@pytest.mark.parametrize("name", sorted(file.stem for file in PAGES.glob("*.md")))
def test_no_page_tells_where_it_was_built(name: str) -> None:
    assert str(PAGES.parents[1]) not in page(name)
