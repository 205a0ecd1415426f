"""The state of a board: the newest row of every key, and the histories for its charts."""

from __future__ import annotations

import collections
from collections.abc import Callable, Hashable, Iterable, Mapping
from typing import Any

from ibdesk.model import FINAL_STATUSES
from ibdesk.store.feed import Row, Topic
from ibdesk.store.totals import profit, total

Update = Mapping[Topic, Iterable[Row]]
"""The rows since the last tick, by topic, oldest first."""

_KEYS: dict[Topic, Callable[[Row], Hashable]] = {
    Topic.QUOTES: lambda row: row["symbol"],
    Topic.BARS: lambda row: (row["symbol"], row["interval_ns"]),
    Topic.PROGRESS: lambda row: (row["symbol"], row["interval_ns"]),
    Topic.EMAS: lambda row: (row["symbol"], row["interval_ns"]),
    Topic.INDICATORS: lambda row: (row["symbol"], row["run_id"], row["name"]),
    Topic.ORDERS: lambda row: row["id"],
    Topic.FILLS: lambda row: row["execution_id"],
    Topic.POSITIONS: lambda row: (row["owner"], row["symbol"]),
    Topic.ACCOUNT: lambda row: row["id"],
    Topic.RUNS: lambda row: row["run_id"],
    Topic.EQUITY: lambda row: row["owner"],
    Topic.PNL: lambda row: row["owner"],
    Topic.RISK: lambda row: (row["at_ns"], row["kind"], row["order_id"], row["rule"]),
    Topic.RECONCILIATION: lambda _: "reconciliation",
    Topic.LINK: lambda _: "link",
    Topic.ALERTS: lambda row: (row["at_ns"], row["origin"], row["text"]),
}
# The topics whose rows are stored as a history for the charts, and the column that distinguishes a key's rows.
_TIMES = {Topic.BARS: "opened_ns", Topic.INDICATORS: "opened_ns", Topic.EQUITY: "at_ns"}
# How many rows of one key a history holds. Other topics store only the newest row.
_KEPT = 3_000
_FINAL = frozenset(status.value for status in FINAL_STATUSES)


def key_of(topic: Topic, row: Row) -> Hashable:
    """Return a row's key: within a topic, a row replaces or follows earlier ones with the same key."""
    return _KEYS[topic](row)


class Totals:
    """The sums over all positions, None if unknown; `profit` is after commissions."""

    def __init__(self, positions: Iterable[Row]) -> None:
        rows = list(positions)
        self.realized = total(rows, "realized_pnl")
        self.unrealized = total(rows, "unrealized_pnl")
        self.commission = total(rows, "commission")
        self.profit = profit(rows)
        self.open_positions = sum(1 for row in rows if row["quantity"])


class BoardState:
    """The rows a board has received, by topic and key; receiving the newest row of a key again changes nothing."""

    def __init__(self) -> None:
        self._rows: dict[Topic, dict[Any, collections.deque[Row]]] = {topic: {} for topic in Topic}

    def apply(self, update: Update) -> None:
        """Add the rows since the last tick."""
        for topic, rows in update.items():
            known, time = self._rows[topic], _TIMES.get(topic)
            for row in rows:
                key = key_of(topic, row)
                history = known.get(key)
                if history is None:
                    history = known[key] = collections.deque(maxlen=_KEPT if time else 1)
                elif time and history[-1][time] == row[time]:
                    history.pop()
                history.append(row)

    def latest(self, topic: Topic) -> list[Row]:
        """Return the newest row of every key, in the order in which the keys first arrived."""
        return [rows[-1] for rows in self._rows[topic].values()]

    def newest(self, topic: Topic, key: Hashable) -> Row | None:
        """Return the newest row of a key, None if there is none."""
        rows = self._rows[topic].get(key)
        return rows[-1] if rows else None

    def oldest(self, topic: Topic, key: Hashable) -> Row | None:
        """Return the oldest stored row of a key, None if there is none."""
        rows = self._rows[topic].get(key)
        return rows[0] if rows else None

    def history(self, topic: Topic, key: Hashable) -> list[Row]:
        """Return all stored rows of a key, in order of arrival."""
        return list(self._rows[topic].get(key, ()))

    def length(self, topic: Topic, key: Hashable) -> int:
        """Return the number of stored rows of a key."""
        return len(self._rows[topic].get(key, ()))

    def count(self, topic: Topic) -> int:
        """Return the number of keys of a topic, for example of orders for `Topic.ORDERS`."""
        return len(self._rows[topic])

    def series(self) -> list[tuple[str, int]]:
        """Return the series that can be charted as (symbol, interval in ns), in order of arrival."""
        return list(self._rows[Topic.BARS])

    def last_price(self, symbol: str) -> float | None:
        """Return the close of the newest bar, including one in progress; without bars, the middle of the quote."""
        bars = [
            rows[-1]
            for topic in (Topic.BARS, Topic.PROGRESS)
            for (name, _), rows in self._rows[topic].items()
            if name == symbol
        ]
        if bars:
            return float(max(bars, key=lambda row: int(row["opened_ns"] + row["interval_ns"]))["close"])
        quote = self.newest(Topic.QUOTES, symbol)
        if quote and quote["bid"] is not None and quote["ask"] is not None:
            return float(quote["bid"] + quote["ask"]) / 2
        return None

    def totals(self) -> Totals:
        """Return the sums over all positions."""
        return Totals(self.latest(Topic.POSITIONS))

    def working_orders(self) -> int:
        """Return the number of orders that are not filled, cancelled or refused."""
        return sum(1 for row in self.latest(Topic.ORDERS) if row["status"] not in _FINAL)
