"""What pages of explanation and CONTRIBUTING say of the code is there: paths, names, figures, commands of make."""

from __future__ import annotations

import ast
import enum
import functools
import inspect
import re
from pathlib import Path

import pytest

from ibdesk.desk.port import feed_follower, socket_transport, stream_transport
from ibdesk.model import Link, OrderStatus, TimeInForce
from ibdesk.store import Feed, Sequencer, Topic
from ibdesk.store import feed as feed_module
from ibdesk.strategy import Strategy
from ibdesk.views import state as board_state
from ibdesk_server.dashboard import page as dashboard_page
from ibdesk_server.feed.protocol import TRY_AGAIN_LATER
from ibdesk_server.feed.settings import FeedSettings

ROOT = Path(__file__).parents[2]
EXPLANATION = ROOT / "docs" / "explanation"
PAGES = sorted([*EXPLANATION.rglob("*.md"), ROOT / "CONTRIBUTING.md"])
CODE = ("platform", "server", "tests")


def words_in_code(page: Path) -> list[str]:
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    return re.findall(r"`([^`\n]+)`", text)


@functools.cache
def classes() -> dict[str, set[str]]:
    """Every class of ours, and the names that it or a base of the same code defines."""
    bodies: dict[str, set[str]] = {}
    bases: dict[str, set[str]] = {}
    for path in (each for folder in CODE[:2] for each in (ROOT / folder).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ClassDef):
                bodies.setdefault(node.name, set()).update(names_of(node))
                bases.setdefault(node.name, set()).update(ast.unparse(base).partition("[")[0] for base in node.bases)
    return {
        name: found | {each for base in bases[name] for each in bodies.get(base, ())} for name, found in bodies.items()
    }


def names_of(found: ast.ClassDef) -> set[str]:
    names = {node.name for node in found.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
    for node in ast.walk(found):
        targets = (
            node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
        )
        names |= {target.id for target in targets if isinstance(target, ast.Name)}
        names |= {target.attr for target in targets if isinstance(target, ast.Attribute)}
    return names


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_each_path_of_a_page_is_there(page: Path) -> None:
    paths = [word for word in words_in_code(page) if re.fullmatch(r"(platform|server|tests|docs|deploy)/[\w./]+", word)]

    assert [path for path in paths if not (ROOT / path).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_each_method_that_a_page_names_is_there(page: Path) -> None:
    named = [word.split(".") for word in words_in_code(page) if re.fullmatch(r"[A-Z]\w+\.(?!md$)[a-z_]\w+", word)]

    assert [f"{owner}.{name}" for owner, name in named if name not in classes().get(owner, ())] == []


def test_the_methods_of_the_pages_were_found() -> None:
    named = {word for page in PAGES for word in words_in_code(page)}

    assert {"Runtime.turn", "OrderFlow.submit", "Desk.submit"} <= named
    assert "turn" in classes()["Runtime"]
    assert "turned" not in classes()["Runtime"]


def test_make_has_the_commands_that_contributing_names() -> None:
    rules = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"(?:^|`)make ([a-z]+)", (ROOT / "CONTRIBUTING.md").read_text(), re.MULTILINE))

    assert len(named) > 8
    assert named <= rules


FEED = FeedSettings()
FIGURES = [
    (inspect.signature(Feed.subscribe).parameters["limit"].default, "{:,} rows of each ordered topic"),
    (feed_module._KEPT_KEYS, "at most {:,} keys"),
    (feed_module._KEPT_PER_KEY[Topic.BARS], "{:,} bars and indicators"),
    (feed_module._KEPT_PER_KEY[Topic.EQUITY], "{:,} points of equity"),
    (inspect.signature(Sequencer).parameters["kept_rows"].default, "the last {:,} rows of each ordered topic"),
    (socket_transport._BUDGET // 1024**2, "{} MiB for each client on the Unix socket"),
    (stream_transport._MOST_WAITING, "{:,} messages may wait for Redis"),
    (stream_transport._KEPT_NEWS, "keeps the last {:,}"),
    (feed_follower._LIMIT, "{:,} batches"),
    (FEED.budget_bytes // 1024**2, "`server.feed.budget_bytes` ({} MiB)"),
    (int(FEED.budget_seconds), "`server.feed.budget_seconds` ({} s)"),
    (FEED.replay_bytes // 1024**2, "`server.feed.replay_bytes` ({} MiB)"),
    (int(FEED.flush_seconds * 1000), "`server.feed.flush_seconds` ({} ms)"),
    (TRY_AGAIN_LATER, "code {}"),
    (dashboard_page.TICK_MILLISECONDS, "every {} ms"),
    (board_state._KEPT, "Charts keep {:,} rows"),
]


@pytest.mark.parametrize(("figure", "words"), FIGURES, ids=[words for _, words in FIGURES])
def test_the_page_of_buffers_states_the_figures_of_the_code(figure: int, words: str) -> None:
    text = " ".join((EXPLANATION / "buffers.md").read_text().split())

    assert words.format(figure) in text


def test_the_page_of_buffers_states_the_figures_of_the_javascript_client() -> None:
    text, module = (EXPLANATION / "buffers.md").read_text(), ROOT / "server/ibdesk_server/static/feed.js"
    unread, kept = (int(re.findall(rf"{name} = (\d+)", module.read_text())[0]) for name in ("UNREAD_LIMIT", "limit"))

    assert f"{unread:,} messages that nobody has read" in text
    assert f"A table keeps {kept:,} rows" in text


def test_the_page_of_buffers_knows_the_kind_of_each_topic() -> None:
    text = (EXPLANATION / "buffers.md").read_text().partition("**conflated**")
    conflated = set(re.findall(r"`(\w+)`", text[0]))
    ordered = set(re.findall(r"`(\w+)`", text[2].partition("**ordered**")[0]))

    assert conflated == {topic.value for topic in Topic if topic.conflated}
    assert ordered == {topic.value for topic in Topic if not topic.conflated}


def test_the_architecture_lists_every_package_in_the_row_of_the_layer_test() -> None:
    from tests.test_layers import LAYERS

    rows = re.findall(r"^\| (\d+) \| (.*?) \|", (EXPLANATION / "architecture.md").read_text(), re.MULTILINE)
    listed = [set(re.findall(r"`(\w+)`", words)) for _, words in rows]

    # The layer test keeps a place for a package that is not there yet.
    assert listed == [{name for name in row if is_package(name)} for row in LAYERS]


def test_each_thread_of_the_page_has_its_name_in_the_code() -> None:
    table = (EXPLANATION / "processes.md").read_text().partition("| thread |")[2].partition("##")[0]
    named = {
        name for row in re.findall(r"^\| (`.*?) \|", table, re.MULTILINE) for name in re.findall(r"`([\w -]+)`", row)
    }
    sources = "\n".join(path.read_text() for path in (ROOT / "platform" / "ibdesk").rglob("*.py"))

    assert len(named) > 8
    assert [name for name in named if f'name="{name}"' not in sources and name != "loading NAME"] == []


def is_package(name: str) -> bool:
    home = ROOT / "platform" / "ibdesk"
    return name == "ibdesk_server" or (home / name).is_dir() or (home / f"{name}.py").is_file()


def glossary() -> dict[str, str]:
    """What the glossary says, by term."""
    text = (ROOT / "docs" / "glossary.md").read_text()
    entries = re.findall(r"^(\S.*)\n((?:  .*\n)+)", text, re.MULTILINE)
    return {term: " ".join(words.split()) for term, words in entries}


@pytest.mark.parametrize("kind", [OrderStatus, Link, TimeInForce], ids=lambda kind: kind.__name__)
def test_the_glossary_names_every_value_of_a_state(kind: type[enum.Enum]) -> None:
    term = {"OrderStatus": "Order status", "Link": "Link", "TimeInForce": "Time in force"}[kind.__name__]

    assert set(re.findall(r"\b[A-Z]{2,}\b", glossary()[term])) >= {member.name for member in kind}


def test_the_glossary_names_the_hooks_of_a_strategy() -> None:
    hooks = {name for name in vars(Strategy) if name.startswith("on_")}

    assert set(re.findall(r"`(on_\w+)`", glossary()["Hook"])) == hooks


def test_a_term_of_the_glossary_stands_once() -> None:
    text = (ROOT / "docs" / "glossary.md").read_text()
    terms = [term.lower() for term, _ in re.findall(r"^(\S.*)\n((?:  .*\n)+)", text, re.MULTILINE)]

    assert len(terms) > 90
    assert len(set(terms)) == len(terms)
