"""Rows published a few times a second: positions, profit, bars in progress, current limits."""

from __future__ import annotations

from ibdesk.desk.ledger import Ledger, finite
from ibdesk.engine import Engine, RiskLimits
from ibdesk.store import Feed, Row, Topic
from ibdesk.store.totals import total


class Marks:
    """Publishes rows that have changed since they were last shown."""

    def __init__(self, engine: Engine, ledger: Ledger, feed: Feed) -> None:
        self._engine, self._ledger, self._feed = engine, ledger, feed
        self._shown: dict[tuple[Topic, str], object] = {}
        self._changes: list[tuple[Topic, str, Row]] = []
        self._limits_shown: RiskLimits | None = None

    def publish(self) -> None:
        """Publish changed rows, at current prices."""
        positions = self._ledger.position_rows()
        for row in positions:
            self._show(Topic.POSITIONS, f"{row['owner']}/{row['symbol']}", row)
        self._profits(positions)
        self._progress()
        self._limits()
        changes, self._changes = self._changes, []
        self._feed.publish_all(changes)

    def _profits(self, positions: list[Row]) -> None:
        """Show the profit of each owner and of all: as a point in time, and as the current state."""
        at_ns, engine = self._engine.now_ns, self._engine
        profits = {owner: engine.orders.exposures.exact_pnl(owner) for owner in engine.portfolio.books}
        profits[""] = engine.orders.exposures.exact_pnl()
        for owner, booked in profits.items():
            of_owner = [row for row in positions if not owner or row["owner"] == owner]
            sums = {name: total(of_owner, name) for name in ("unrealized_pnl", "realized_pnl", "commission")}
            # A profit of which a part is unknown is unknown.
            pnl = None if sums["unrealized_pnl"] is None else booked
            stamped = {"owner": owner, "at_ns": at_ns, "pnl": pnl}
            self._show(Topic.EQUITY, owner, stamped, pnl)
            self._show(Topic.PNL, owner, stamped | sums, (pnl, *sums.values()))

    def _progress(self) -> None:
        """Show the bars that are being built."""
        for market in self._engine.markets.values():
            for lane in market.lanes:
                bar = lane.bar_in_progress
                if bar is not None:
                    row = {
                        "symbol": bar.instrument,
                        "opened_ns": bar.opened_ns,
                        "interval_ns": bar.interval_ns,
                        "open": bar.open,
                        "high": bar.high,
                        "low": bar.low,
                        "close": bar.close,
                        "volume": bar.volume,
                    }
                    self._show(Topic.PROGRESS, f"{bar.instrument}/{bar.interval_ns}", row)

    def _limits(self) -> None:
        """Show each limit of the risk gate that has changed."""
        at_ns, limits = self._engine.now_ns, self._engine.gate.limits
        if limits is self._limits_shown:
            return
        self._limits_shown = limits
        for rule, limit in limits.by_name.items():
            if isinstance(limit, float):
                row = risk_row(at_ns, "limit", rule=rule, limit=finite(limit), text=f"{rule} is {limit:g}")
                self._show(Topic.RISK, f"limit/{rule}", row, limit)

    def _show(self, topic: Topic, key: str, row: Row, sign: object = None) -> None:
        """Publish a row unless its sign, by default the row itself, is unchanged."""
        sign = row if sign is None else sign
        if self._shown.get((topic, key)) != sign:
            self._shown[topic, key] = sign
            self._changes.append((topic, key, row))


def risk_row(
    at_ns: int,
    kind: str,
    *,
    owner: str = "",
    symbol: str = "",
    order_id: str = "",
    rule: str = "",
    limit: float | None = None,
    asked: float | None = None,
    text: str = "",
) -> Row:
    """Return a row of the topic `risk`; `kind` is denied, halted, resumed or limit."""
    return {
        "at_ns": at_ns,
        "kind": kind,
        "owner": owner,
        "symbol": symbol,
        "order_id": order_id,
        "rule": rule,
        "limit": limit,
        "asked": asked,
        "text": text,
    }
