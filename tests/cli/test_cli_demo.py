"""`ibdesk demo`, all of it, as a newcomer runs it; and what `ibdesk replay` says of its journal."""

from __future__ import annotations

import http.cookiejar
import shutil
import socket
import sqlite3
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import ib_async as ib
import pytest

SECONDS = 20.0
pytestmark = pytest.mark.timeout(240)


class Story(NamedTuple):
    """A demo that went on for eight seconds, and what was seen of it meanwhile."""

    outcome: Any
    taken: int
    dashboard: str
    api: str
    left_over: list[str]


def page(address: str, form: bytes | None = None) -> str:
    """The page behind a login, by a browser that keeps cookies."""
    cookies = urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar())
    with urllib.request.build_opener(cookies).open(address, form, timeout=SECONDS) as answer:
        return str(answer.read().decode())


@pytest.fixture(scope="module")
def story(home: Any) -> Iterator[Story]:
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = other.getsockname()[1]
        program = home.start("demo", "--for", 8, "--speed", 50, "--port", taken, "--dashboard-port", taken)
        dashboard = program.until(r"dashboard +(http://127\.0\.0\.1:\d+)")[1]
        api = program.until(r"API +(http://127\.0\.0\.1:\d+)")[1]
        program.until(r"end +in 8 seconds, or Ctrl-C")
        key = next(home.path.rglob("api.key")).read_text().strip()
        by_key = urllib.parse.urlencode({"name": "", "password": key}).encode()
        # The address is typed on another terminal: what this one writes goes into a file.
        login = home.start("login", "--at", api).end().out.strip()
        pages = page(f"{dashboard}/login", by_key), page(login)
        outcome = program.end()
        yield Story(outcome, taken, *pages, left_over=program.left_behind())


def test_it_ends_by_itself_and_leaves_nothing_running(story: Story, home: Any) -> None:
    assert (story.outcome.code, story.outcome.err) == (0, "")
    assert story.left_over == []
    assert list((home.path / "tmp").iterdir()) == []


def test_it_backtests_with_figures_and_a_report(story: Story, home: Any) -> None:
    report = home.path / "state" / "ibdesk" / "reports" / "EmaCross.html"

    assert "Sharpe" in story.outcome.out
    assert report.as_uri() in story.outcome.out
    assert report.stat().st_size > 100_000


def test_it_serves_api_and_dashboard_on_free_ports(story: Story) -> None:
    assert f":{story.taken}" not in story.outcome.out
    assert "code=" not in story.outcome.out
    assert "openapi.json" in story.api
    assert "ibdesk" in story.dashboard


def test_it_sums_up_what_it_traded(story: Story) -> None:
    _, traded = story.outcome.out.split("What was traded")

    for words in ("Orders: ", " filled", "Fills: ", "Round trips: ", "Profit and loss", "total", "p50", "p99"):
        assert words in traded
    for symbol in ("AAPL", "GOOG", "IBM", "MSFT"):
        assert symbol in traded.partition("Profit and loss")[2]


def test_its_journal_replays_equal(story: Story, home: Any) -> None:
    [journal] = home.journals
    _, replayed = story.outcome.out.split("The journal, replayed")

    assert str(journal) in replayed
    assert "equal" in replayed
    assert "byte for byte" in home.start("replay", journal).end().out


@pytest.fixture
def copy(story: Story, home: Any, tmp_path: Path) -> Path:
    [journal] = home.journals
    return Path(shutil.copy(journal, tmp_path / "copy.sqlite"))


def change(journal: Path, statement: str) -> None:
    connection = sqlite3.connect(journal)
    with connection:
        connection.execute(statement)
    connection.close()


def test_a_journal_that_was_tampered_with_is_told_at_the_first_difference(copy: Path, cli: Any) -> None:
    change(
        copy, "UPDATE events SET actions = NULL WHERE number = (SELECT min(number) FROM events WHERE actions NOTNULL)"
    )

    told = cli("replay", copy)

    assert told.code == 1
    assert "replay differs at event" in told.err
    assert "recorded nothing" in told.err
    assert "Traceback" not in told.err


def test_a_journal_with_a_hole_cannot_be_read(copy: Path, cli: Any) -> None:
    change(copy, "DELETE FROM events WHERE number = 7")

    told = cli("replay", copy)

    assert told.code == 2
    assert "lacks event 7" in told.err


async def test_any_client_can_connect_meanwhile_and_ctrl_c_ends_it_whole(home: Any) -> None:
    program = home.start("demo", "--speed", 50, "--symbols", "AAPL,IBM", "--port", 0, "--dashboard-port", 0)
    host, port = program.until(r"gateway +([\d.]+):(\d+); any").groups()
    client = ib.IB()
    await client.connectAsync(host, int(port), clientId=9, timeout=SECONDS)
    managed = client.managedAccounts()
    client.disconnect()
    program.until(r"end +Ctrl-C")
    program.press_ctrl_c()

    told = program.end()

    assert managed == ["DU9000001"]
    assert (told.code, told.err) == (0, "")
    assert "What was traded" in told.out
    assert "equal" in told.out
    assert program.left_behind() == []


def test_ctrl_c_while_it_starts_ends_it_cleanly_too(home: Any) -> None:
    program = home.start("demo", "--port", 0, "--dashboard-port", 0)
    program.until("starting the dashboard")
    program.press_ctrl_c()

    told = program.end()

    assert told.code == 130
    assert told.err == "ibdesk: stopped before start-up was complete\n"
    assert program.left_behind() == []
    assert list((home.path / "tmp").iterdir()) == []


def test_a_strategy_that_fails_on_the_paper_account_is_no_success(home: Any) -> None:
    path = home.path / "fails.py"
    # It holds its breath through the backtest, which has no quotes.
    path.write_text("from ibdesk import Strategy\nclass A(Strategy):\n    def on_quote(self, quote): {}['x']\n")

    told = home.start("demo", "--strategy", path, "--symbols", "IBM", "--for", 2, "--port", 0, "--no-dashboard").end()

    assert told.code == 1
    assert "There were no orders" in told.out
    assert "failed: KeyError: 'x'" in told.err
    assert "Traceback" not in told.err


def test_a_desk_is_served_until_it_is_told_to_end(home: Any) -> None:
    program = home.start("up", "--port", 0, "--no-dashboard")
    api = program.until(r"API +(http://\S+)")[1]
    program.until(r"end +Ctrl-C")
    seen = page(api)
    program.terminate()

    told = program.end()

    assert "openapi.json" in seen
    assert (told.code, told.err) == (0, "")
