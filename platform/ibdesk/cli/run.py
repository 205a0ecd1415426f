"""`ibdesk run`: a strategy on a desk in this process, and what it trades, line by line."""

from __future__ import annotations

import threading
import time

from rich.text import Text

from ibdesk.cli.interrupt import Belongings
from ibdesk.cli.screen import console, line, price, quantity, step
from ibdesk.cli.tables import Summary
from ibdesk.cli.trading import Connection, Run, check_runs, end_run, open_desk
from ibdesk.desk import Desk
from ibdesk.model import moment
from ibdesk.store import Row, Topic

_CHECK_SECONDS = 1.0
_SEVERITY_STYLES = {"info": "dim", "warning": "yellow", "error": "bold red"}


def run_until_stopped(connection: Connection, run: Run, *, seconds: float | None, flatten: bool) -> None:
    """Run a strategy until Ctrl-C or for some seconds, then print what it traded.

    Raises:
        IbdeskError: If it cannot be started, or fails.
    """
    run.check()
    settings = connection.settings(tuple(run.on))
    with Belongings() as belongings:
        desk = belongings.enter_context(open_desk(settings))
        run_id = run.start(desk)
        step(f"{run_id} on {', '.join(run.on)}, {run.bar} bars")
        line("account", f"{desk.health().account} ({settings.mode}) at {desk.address}")
        line("journal", desk.journal_path)
        line("end", "Ctrl-C" if seconds is None else f"in {seconds:g} seconds, or Ctrl-C")
        try:
            _watch(desk, run_id, seconds=seconds)
        except KeyboardInterrupt:
            console.print()
        if not end_run(desk, run_id, flatten=flatten):
            console.print("[yellow]warning[/] some orders are still open at the venue")
        Summary.of(desk).show()


def _watch(desk: Desk, run_id: str, *, seconds: float | None) -> None:
    """Print the news of the desk until the time is up."""
    wake, news = threading.Event(), News()
    reader, _ = desk.feed.subscribe(wake.set)
    ends = float("inf") if seconds is None else time.monotonic() + seconds
    try:
        while (left := ends - time.monotonic()) > 0:
            if wake.wait(min(left, _CHECK_SECONDS)):
                wake.clear()
                rows, _ = reader.drain()
                for text in news.of(rows):
                    console.print(text, soft_wrap=True)
            check_runs(desk, run_id)
    finally:
        desk.feed.unsubscribe(reader)


class News:
    """Turns rows of the feed into lines for people, each piece of news once."""

    def __init__(self) -> None:
        self._seen: set[str] = set()
        self._link = "up"

    def of(self, rows: dict[Topic, list[Row]]) -> list[Text]:
        """Return the lines that these rows make."""
        lines = [self._fill(row) for row in rows.get(Topic.FILLS, ()) if self._is_new(row["execution_id"])]
        lines += [self._order(row) for row in rows.get(Topic.ORDERS, ()) if self._tells(row)]
        lines += [_alert(row) for row in rows.get(Topic.ALERTS, ())]
        for row in rows.get(Topic.LINK, ()):
            if row["link"] != self._link:
                self._link = row["link"]
                lines.append(_dated(row["at_ns"], f"link {row['link']} {row['detail']}".rstrip(), "yellow"))
        return lines

    def _is_new(self, key: str) -> bool:
        if key in self._seen:
            return False
        self._seen.add(key)
        return True

    def _tells(self, row: Row) -> bool:
        """Return whether an order ended in another way than by its fills; a denied one has an alert of its own."""
        return row["status"] in {"rejected", "cancelled", "expired", "unknown"} and self._is_new(
            f"{row['id']} {row['status']}"
        )

    @staticmethod
    def _fill(row: Row) -> Text:
        verb = "bought" if row["side"] == "buy" else "sold"
        text = f"{verb} {quantity(row['quantity'])} {row['symbol']} at {price(row['price'])}"
        return _dated(row["at_ns"], text, "green" if row["side"] == "buy" else "cyan")

    @staticmethod
    def _order(row: Row) -> Text:
        text = f"{row['side']} {quantity(row['quantity'])} {row['symbol']} {row['status']} {row['reason']}"
        return _dated(row["updated_ns"], text.rstrip(), "yellow")


def _alert(row: Row) -> Text:
    return _dated(row["at_ns"], f"{row['origin']}: {row['text']}", _SEVERITY_STYLES.get(row["severity"], ""))


def _dated(at_ns: int, text: str, style: str) -> Text:
    return Text.assemble((f"{moment(at_ns):%H:%M:%S}  ", "dim"), (text, style))
