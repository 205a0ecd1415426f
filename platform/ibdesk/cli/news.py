"""Events of a desk's feed as readable lines."""

from __future__ import annotations

from rich.text import Text

from ibdesk.cli.screen import price, quantity
from ibdesk.model import moment
from ibdesk.store import Row, Topic

_SEVERITY_STYLES = {"info": "dim", "warning": "yellow", "error": "bold red"}
_ENDED_UNFILLED = frozenset({"rejected", "cancelled", "expired", "unknown"})


class News:
    """Turns rows of the feed into readable lines, each event once."""

    def __init__(self) -> None:
        self._seen: set[str] = set()
        self._link = "up"

    def of(self, rows: dict[Topic, list[Row]]) -> list[Text]:
        """Return the lines for new events in these rows."""
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
        """Return whether an order newly ended unfilled; a denied order has its own alert."""
        return row["status"] in _ENDED_UNFILLED and self._is_new(f"{row['id']} {row['status']}")

    @staticmethod
    def _fill(row: Row) -> Text:
        verb = "bought" if row["side"] == "buy" else "sold"
        text = f"{verb} {quantity(row['quantity'])} {row['symbol']} at {price(row['price'])}"
        return _dated(row["at_ns"], text, "green" if row["side"] == "buy" else "cyan")

    @staticmethod
    def _order(row: Row) -> Text:
        text = f"{row['side']} {quantity(row['quantity'])} {row['symbol']} {row['status']} {row['reason']}"
        return _dated(row["updated_ns"], text.rstrip(), "yellow")


def warnings(rows: dict[Topic, list[Row]]) -> list[Text]:
    """Return a line for each alert above severity info."""
    return [_alert(row) for row in rows.get(Topic.ALERTS, ()) if row["severity"] != "info"]


def _alert(row: Row) -> Text:
    return _dated(row["at_ns"], f"{row['origin']}: {row['text']}", _SEVERITY_STYLES.get(row["severity"], ""))


def _dated(at_ns: int, text: str, style: str) -> Text:
    return Text.assemble((f"{moment(at_ns):%H:%M:%S}  ", "dim"), (text, style))
