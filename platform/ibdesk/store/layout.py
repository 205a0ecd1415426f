"""The layout of each topic: its key columns, the rows in a snapshot, and the filters that apply."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from ibdesk.store.feed import Row, Topic


class Layout(msgspec.Struct, frozen=True):
    """The rows of one topic.

    `group` names the columns that identify a row's subject, `time` the columns that distinguish its rows over time if
    more than the newest is of interest. A snapshot holds the `kept` newest rows of each group. `symbol` and `owner`
    name the columns that a client's filters compare; without such a column a row passes.
    """

    group: tuple[str, ...]
    time: tuple[str, ...] = ()
    kept: int = 1
    symbol: str = ""
    owner: str = ""

    @property
    def key(self) -> tuple[str, ...]:
        """Return the columns that together identify a row; a row with the same key replaces the former one."""
        return self.group + self.time

    def key_of(self, row: Row) -> str:
        """Return the key under which the desk's own feed publishes this row."""
        return "/".join(map(str, self.group_of(row) or self.time_of(row)))

    def group_of(self, row: Row) -> tuple[object, ...]:
        """Return the values that identify the row's subject."""
        return tuple(row[name] for name in self.group)

    def time_of(self, row: Row) -> tuple[object, ...]:
        """Return the values that distinguish the row from others of the same subject."""
        return tuple(row[name] for name in self.time)


# The order of sending if several topics have rows: those about money come first.
LAYOUTS: dict[Topic, Layout] = {
    Topic.LINK: Layout(()),
    Topic.FILLS: Layout(("execution_id",), symbol="symbol", owner="owner"),
    Topic.ORDERS: Layout(("id",), symbol="symbol", owner="owner"),
    Topic.ALERTS: Layout((), time=("at_ns", "origin", "text"), kept=1_000),
    Topic.RISK: Layout((), time=("at_ns", "kind", "order_id", "rule"), kept=1_000, symbol="symbol", owner="owner"),
    Topic.RUNS: Layout(("run_id",), owner="run_id"),
    Topic.POSITIONS: Layout(("owner", "symbol"), symbol="symbol", owner="owner"),
    Topic.ACCOUNT: Layout(("id",)),
    Topic.RECONCILIATION: Layout(()),
    Topic.PNL: Layout(("owner",), owner="owner"),
    Topic.QUOTES: Layout(("symbol",), symbol="symbol"),
    Topic.PROGRESS: Layout(("symbol", "interval_ns"), symbol="symbol"),
    Topic.BARS: Layout(("symbol", "interval_ns"), time=("opened_ns",), kept=1_000, symbol="symbol"),
    Topic.EMAS: Layout(("symbol", "interval_ns"), symbol="symbol"),
    Topic.INDICATORS: Layout(
        ("run_id", "symbol", "name"), time=("opened_ns",), kept=1_000, symbol="symbol", owner="run_id"
    ),
    Topic.EQUITY: Layout(("owner",), time=("at_ns",), kept=2_000, owner="owner"),
}


def changes_of(topic: Topic, rows: Iterable[Row]) -> list[tuple[Topic, str, Row]]:
    """Return rows of one topic in the form of `Feed.publish_all`."""
    layout = LAYOUTS[topic]
    return [(topic, layout.key_of(row), row) for row in rows]
