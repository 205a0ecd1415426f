"""How each topic's rows are told apart: key columns, what a snapshot keeps, and which filters apply."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from ibdesk.store.feed import Row, Topic


class Layout(msgspec.Struct, frozen=True):
    """The rows of one topic.

    `group` names the columns that name the thing a row is about, `time` the column that tells its rows apart over
    time when more than the newest one is of interest. A snapshot holds the `kept` newest rows of each group.
    `symbol` and `owner` name the columns that a client's filters look at; without such a column a row passes.
    """

    group: tuple[str, ...]
    time: tuple[str, ...] = ()
    kept: int = 1
    symbol: str = ""
    owner: str = ""

    @property
    def key(self) -> tuple[str, ...]:
        """Return the columns that together name one row; a row with the same key replaces the former one."""
        return self.group + self.time

    def key_of(self, row: Row) -> str:
        """Return the key under which the desk's own feed publishes such a row."""
        return "/".join(map(str, self.group_of(row) or self.time_of(row)))

    def group_of(self, row: Row) -> tuple[object, ...]:
        """Return what the row is about."""
        return tuple(row[name] for name in self.group)

    def time_of(self, row: Row) -> tuple[object, ...]:
        """Return what tells the row from others about the same thing."""
        return tuple(row[name] for name in self.time)


# The order is the order of sending when several topics have news: what moves money comes first.
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
    """Return rows of one topic as `Feed.publish_all` takes them."""
    layout = LAYOUTS[topic]
    return [(topic, layout.key_of(row), row) for row in rows]
