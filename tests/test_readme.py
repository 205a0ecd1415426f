"""What the README tells people to type works: its Python runs against a real desk and server, its commands exist."""

from __future__ import annotations

import ast
import asyncio
import importlib
import json
import re
import shlex
import threading
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import typer

from ibdesk.cli import app as commands
from ibdesk.cli.common import Common
from ibdesk.desk import Desk, DeskSettings
from ibdesk_server.serve import WebServer
from ibdesk_server.settings import ServerSettings, Settings

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
STRATEGIES = ROOT / "strategies"

pytestmark = pytest.mark.timeout(300)

# Blocks that need what a test has not: they are compiled and not run.
NOT_RUN = {"desk = Desk.attach()": "a desk in another process, and TWS on port 7497"}
# Lines of shell that are none of ibdesk's, by how they begin.
FOREIGN = ("make ", "IBDESK_TWS_HOST=", ".venv/bin/jupyter", "pip ")


class Block(NamedTuple):
    """A fenced block: its language, its text, and the line where it begins."""

    language: str
    text: str
    line: int

    @property
    def first_line(self) -> str:
        return next(line for line in self.text.splitlines() if line.strip()).partition("  #")[0]


def blocks(*languages: str) -> list[Block]:
    found, text = [], README.read_text()
    for fence in re.finditer(r"^( *)```(\w+)\n(.*?)^\1```$", text, re.MULTILINE | re.DOTALL):
        indent, language, body = fence.groups()
        if language in languages:
            lines = [line.removeprefix(indent) for line in body.splitlines()]
            found.append(Block(language, "\n".join(lines), text.count("\n", 0, fence.start()) + 1))
    assert found
    return found


def block(begins: str) -> Block:
    """Return the Python block that begins or goes on with these words."""
    (found,) = [each for each in blocks("python") if begins in each.text]
    return found


class Serving:
    """A server of a desk on a thread of its own."""

    def __init__(self, desk: Desk, settings: Settings) -> None:
        self._answering = threading.Event()
        self._stop: Callable[[], object] = lambda: None
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run(desk, settings)))
        self._thread.start()
        assert self._answering.wait(60)

    async def _run(self, desk: Desk, settings: Settings) -> None:
        server = WebServer(desk, settings)
        running = asyncio.create_task(server.run())
        await server.until_answering()
        loop = asyncio.get_running_loop()
        self.url, self._stop = server.url, lambda: loop.call_soon_threadsafe(running.cancel)
        self._answering.set()
        await asyncio.wait({running})

    def stop(self) -> None:
        self._stop()
        self._thread.join()


@pytest.fixture
def surroundings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A state folder and a fast embedded market, by the settings, as a reader may have them."""
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("IBDESK_STATE_FOLDER", str(tmp_path / "state"))
    monkeypatch.setenv("IBDESK_GATEWAY__SPEED", "20")
    monkeypatch.setenv("IBDESK_GATEWAY__PORT", "0")


@pytest.fixture
def desk(surroundings: None) -> Iterator[Desk]:
    with Desk.open("embedded") as desk:
        yield desk


@pytest.fixture
def serving(desk: Desk, tmp_path: Path) -> Iterator[tuple[str, str]]:
    """Address and key of a server of the desk."""
    server = ServerSettings(port=0, key_file=tmp_path / "api.key", strategies=STRATEGIES)
    running = Serving(desk, Settings(state_folder=tmp_path, server=server))
    yield running.url, (tmp_path / "api.key").read_text().strip()
    running.stop()


def run(found: Block, **names: Any) -> dict[str, Any]:
    """Run a block as a reader would who has these names; a line of the README is told where it fails."""
    source = "\n" * found.line + found.text
    exec(compile(source, str(README), "exec"), names)
    return names


def run_awaiting(found: Block, **names: Any) -> None:
    """Run a block that awaits, as a notebook does."""
    code = compile("\n" * found.line + found.text, str(README), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)

    async def work() -> None:
        async with asyncio.timeout(60):
            await eval(code, names)

    asyncio.run(work())


def test_each_python_block_is_run_here_or_says_why_not() -> None:
    run_here = {name for name, value in globals().items() if name.startswith("test_python_") and callable(value)}
    not_run = [each for each in blocks("python") if each.first_line in NOT_RUN]

    for each in blocks("python"):
        compile(each.text, str(README), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    assert len(not_run) == len(NOT_RUN) == 1
    assert len(run_here) + len(not_run) == len(blocks("python"))


def test_python_of_a_test_of_a_strategy(surroundings: None) -> None:
    run(block("def test_it_makes_money_with_costs"))["test_it_makes_money_with_costs"]()


def test_python_of_own_data(surroundings: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [f"01/{day:02}/2024,10,11,9,10.5,1000" for day in (2, 3, 4, 5, 8, 9)]
    (tmp_path / "IBM.txt").write_text("\n".join(lines) + "\n")
    (tmp_path / "strategies").symlink_to(STRATEGIES)
    monkeypatch.chdir(tmp_path)

    names = run(block('read_bars("IBM.txt"'))

    assert (names["bars"].symbols, names["bars"].frame.height) == (("IBM",), 6)


def test_python_of_a_strategy() -> None:
    strategy = run(block("class EmaCross(Strategy)"))["EmaCross"]

    assert strategy(fast=5).features().keys() == {"fast", "slow"}


def test_python_of_a_desk(surroundings: None) -> None:
    names = run(block('desk = Desk.open("embedded")'))

    assert names["bars"].height == 500
    assert names["run"].startswith("EmaCross")


def test_python_of_orders_by_hand(desk: Desk) -> None:
    run_id = desk.start("strategies/ema_cross.py", on=["AAPL"], bar="5 secs")
    # One that rests: far below the market.
    order = desk.place("AAPL", "buy", 10, limit=1.0)

    run(block('desk.place("IBM", "buy", 10'), desk=desk, run=run_id, order_id=order.id)

    changed = desk.orders().filter(desk.orders()["id"] == order.id)
    assert changed["quantity"].to_list() == [5]


def test_python_of_the_api(serving: tuple[str, str]) -> None:
    url, key = serving
    found = block("with ApiClient(")

    names = run(found._replace(text=found.text.replace("http://127.0.0.1:8000", url)), key=key)

    assert (names["order"].side, names["job"].state) == ("buy", "queued")


def test_python_of_the_feed(serving: tuple[str, str], desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    url, key = serving
    found = block("async with FeedClient(")
    desk.place("AAPL", "buy", 1)
    address = url.replace("http", "ws")
    # It goes on for ever: here until the first news.
    text = found.text.replace("ws://127.0.0.1:8000", address) + "\n        break"

    run_awaiting(found._replace(text=text), key=key)

    assert re.match(r"snapshot (orders|quotes) ", capsys.readouterr().out)


def test_python_of_a_program_against_the_gateway(gateway: Any, market: Any) -> None:
    run(block("def test_it_buys_when_the_price_falls"))["test_it_buys_when_the_price_falls"](gateway, market)


def shell_lines() -> list[str]:
    lines = [line for each in blocks("sh") for line in each.text.splitlines()]
    console = [line for each in blocks("console") for line in each.text.splitlines() if line.startswith("$ ")]
    words = [line.removeprefix("$ ").partition("    #")[0].strip() for line in [*lines, *console]]
    return [line for line in words if line and not line.startswith("#")]


def test_each_command_of_the_shell_blocks_exists_with_its_options() -> None:
    ours = []
    for line in shell_lines():
        if line.startswith(FOREIGN):
            continue
        words = shlex.split(line.partition(" > ")[0])
        while re.fullmatch(r"[A-Z_]+=\S*", words[0]):
            del words[0]
        assert words[0].rpartition("/")[2] == "ibdesk", line
        ours.append(words[1:])
    assert len(ours) >= 14
    for words in ours:
        parse(words)
    for wrong in (["web", "--workrs", "4"], ["audit", "shw"], ["engine", "--tws-port", "many"]):
        with pytest.raises(typer.TyperException):
            parse(wrong)


def parse(words: list[str]) -> None:
    """Parse a command line without carrying it out.

    Raises:
        Exception: If there is no such command or option, or a value is not of its type.
    """
    for room in commands._ROOMS:
        importlib.import_module(f"ibdesk.cli.{room}")
    command, context = typer.main.get_command(commands.app), None
    while True:
        context = command.make_context("ibdesk", list(words), parent=context, obj=Common())
        if not hasattr(command, "resolve_command"):
            return
        rest = [*getattr(context, "protected_args", ()), *getattr(context, "_protected_args", ()), *context.args]
        if not rest:
            return
        _, command, words = command.resolve_command(context, rest)


def test_settings_and_lines_of_the_log_are_what_they_look_like(tmp_path: Path) -> None:
    for each in blocks("toml"):
        (tmp_path / "secret").write_text("redis://127.0.0.1:6379\n")
        (tmp_path / "secret").chmod(0o600)
        text = each.text.replace("/run/secrets/redis_url", str(tmp_path / "secret"))
        assert tomllib.loads(text)
        (tmp_path / "ibdesk.toml").write_text(text)
        assert DeskSettings.load(config=tmp_path / "ibdesk.toml").tws.port == 4002
    for each in blocks("json"):
        assert json.loads(each.text)


PAGES = sorted([README, ROOT / "CHANGELOG.md", ROOT / "deploy" / "README.md", *(ROOT / "docs").rglob("*.md")])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_each_link_of_a_page_leads_somewhere(page: Path) -> None:
    for file, anchor in links_of(page):
        target = page.parent / file if file else page
        assert target.exists(), f"{page.name} links to {file}"
        assert not anchor or anchor in anchors_of(target), f"{page.name} links to {file}#{anchor}"


def links_of(page: Path) -> list[tuple[str, str]]:
    """Return the relative links of a page outside of its code: the file and the anchor of each."""
    text = re.sub(r"^ *```.*?^ *```|`[^`\n]*`", "code", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    found = re.findall(r"\]\((?![a-z]+:)([^)#\s]*)#?([^)\s]*)\)", text)
    assert len(found) == text.count("](") - len(re.findall(r"\]\([a-z]+:", text)), page.name
    return found


def anchors_of(page: Path) -> set[str]:
    """Return the anchors that GitHub gives to the headings of a page."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
