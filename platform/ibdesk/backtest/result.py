"""The result of a backtest: frames, figures, plots and report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import polars as pl

from ibdesk.backtest.equity import equity_curve
from ibdesk.backtest.limits import Denials, halt_words
from ibdesk.backtest.round_trips import round_trips
from ibdesk.backtest.stats import Stats, compute_stats
from ibdesk.backtest.table import stats_html, stats_table
from ibdesk.data.bars import INTERVAL
from ibdesk.data.trading_dates import dates_of_times
from ibdesk.engine import RiskLimits
from ibdesk.exchange import OrderBook
from ibdesk.model import Alert, AnyInstrument, Fill, Order, StrategySource, TradingHalted, moment
from ibdesk.strategy import Strategy

if TYPE_CHECKING:
    from bokeh.models import LayoutDOM
    from rich.console import RenderableType
    from rich.table import Table

_TIME = pl.Datetime("ns", "UTC")
_FILL_SCHEMA: dict[str, pl.DataType] = {
    "filled_at": _TIME,
    "execution_id": pl.String(),
    "order_id": pl.String(),
    "symbol": pl.String(),
    "side": pl.String(),
    "quantity": pl.Float64(),
    "price": pl.Float64(),
    "cash": pl.Float64(),
    "commission": pl.Float64(),
    "bar_opened_at": _TIME,
}
_ORDER_SCHEMA: dict[str, pl.DataType] = {
    "created_at": _TIME,
    "updated_at": _TIME,
    "order_id": pl.String(),
    "symbol": pl.String(),
    "side": pl.String(),
    "type": pl.String(),
    "time_in_force": pl.String(),
    "quantity": pl.Float64(),
    "limit_price": pl.Float64(),
    "stop_price": pl.Float64(),
    "status": pl.String(),
    "filled": pl.Float64(),
    "average_price": pl.Float64(),
    "reason": pl.String(),
}


class BookedFill(msgspec.Struct, frozen=True):
    """An execution, and the start of its bar, ns UTC."""

    fill: Fill
    bar_opened_ns: int


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """The result of a backtest.

    * `fills`: filled_at, execution_id, order_id, symbol, side (buy, sell), quantity, price, cash (the cash flow
      before commission), commission, bar_opened_at. A fill at a bar's open is dated at its opening,
      one inside the bar at its close.
    * `orders`: all orders, oldest first, with their last status and, if denied, rejected, cancelled or expired, the
      reason.
    * `round_trips`: see `ibdesk.backtest.round_trips.SCHEMA`.
    * `equity`: see `ibdesk.backtest.equity.equity_curve`.
    * `bars`: the bars traded on, with the strategy's features and target beside them.
    * `denials`: the orders denied by the risk rules `limits`, by rule; see also `halt`.
    * `warnings`: about denied orders and doubtful data; `alerts`: messages of strategy and engine.
    """

    strategy: Strategy
    source: StrategySource
    instruments: dict[str, AnyInstrument]
    interval_ns: int
    bars: pl.DataFrame
    fills: pl.DataFrame
    orders: pl.DataFrame
    round_trips: pl.DataFrame
    equity: pl.DataFrame
    stats: Stats
    limits: RiskLimits
    denials: tuple[Denials, ...] = ()
    alerts: tuple[Alert | TradingHalted, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def parameters(self) -> dict[str, Any]:
        """The strategy's parameters by name."""
        return self.strategy.model_dump(mode="json")

    @property
    def symbols(self) -> tuple[str, ...]:
        """The ids of the instruments traded on."""
        return tuple(self.instruments)

    @property
    def halt(self) -> TradingHalted | None:
        """The halt set by a risk rule, which lasts to the end, or None."""
        return next((alert for alert in self.alerts if isinstance(alert, TradingHalted)), None)

    def table(self) -> Table:
        """Return the figures as a rich table."""
        return stats_table(self.stats, title=self.source.class_name)

    def plot(self) -> LayoutDOM:
        """Return a Bokeh layout: one tab per symbol with price, features and fills, then equity and drawdown.

        Raises:
            ImportError: If bokeh is not installed; it comes with ``ibdesk[research]``.
        """
        from ibdesk.backtest.plot import plot_result

        return plot_result(self)

    def report(self, path: str | Path) -> Path:
        """Write a stand-alone HTML page with figures and plots atomically, and return its path.

        Reading it needs no network.

        Raises:
            OSError: If the page cannot be written.
            ImportError: If bokeh is not installed; it comes with ``ibdesk[research]``.
        """
        from ibdesk.backtest.report import write_report

        return write_report(self, Path(path))

    def __rich__(self) -> RenderableType:
        from rich.console import Group
        from rich.text import Text

        return Group(self.table(), *(Text(f"warning: {text}", style="yellow") for text in self.warnings))

    def _repr_html_(self) -> str:
        return stats_html(self.stats, title=self.source.class_name, warnings=self.warnings)


def make_result(
    *,
    strategy: Strategy,
    source: StrategySource,
    bars: pl.DataFrame,
    dates: pl.Series,
    columns: pl.DataFrame,
    instruments: Mapping[str, AnyInstrument],
    interval_ns: int,
    cash: float,
    fills: Sequence[BookedFill],
    commissions: Mapping[str, float],
    book: OrderBook,
    orders: Sequence[Order],
    limits: RiskLimits,
    denials: tuple[Denials, ...],
    alerts: tuple[Alert | TradingHalted, ...],
    warnings: tuple[str, ...],
) -> Result:
    """Return the result of a run.

    `dates` holds the trading date of each bar, `columns` the features and target of the bars sorted by symbol and time.
    """
    filled = _fill_frame(fills, commissions)
    known = _by_close(bars, interval_ns)
    equity = equity_curve(known, filled, instruments, cash=cash)
    trips = round_trips((booked.fill, commissions[booked.fill.execution_id]) for booked in fills)
    halt = next((alert for alert in alerts if isinstance(alert, TradingHalted)), None)
    stats = compute_stats(
        equity,
        trips,
        dates_of_times(known, dates),
        cash=cash,
        interval_ns=interval_ns,
        orders=len(orders),
        fills=len(fills),
        commission=float(filled["commission"].sum()),
        slippage=book.slippage_paid,
        slippage_cut=book.slippage_cut,
        fills_cut=book.fills_cut,
        denied=sum(each.count for each in denials),
        halted_at=None if halt is None else moment(halt.at_ns),
    )
    by_symbol = bars.sort("symbol", "opened_at")
    return Result(
        strategy=strategy,
        source=source,
        instruments=dict(instruments),
        interval_ns=interval_ns,
        bars=by_symbol.hstack(columns.get_columns()).sort("opened_at", "symbol"),
        fills=filled,
        orders=_order_frame(orders),
        round_trips=trips,
        equity=equity,
        stats=stats,
        limits=limits,
        denials=denials,
        alerts=alerts,
        warnings=(*([] if halt is None else [halt_words(halt)]), *map(str, denials), *warnings),
    )


def _by_close(bars: pl.DataFrame, interval_ns: int) -> pl.DataFrame:
    """Return bars of several lengths shifted so that each ends at its close as a bar of the shortest length."""
    if INTERVAL not in bars.columns:
        return bars
    longer = pl.col(INTERVAL) - pl.duration(nanoseconds=interval_ns)
    return bars.with_columns(pl.col("opened_at") + longer)


def _fill_frame(fills: Sequence[BookedFill], commissions: Mapping[str, float]) -> pl.DataFrame:
    rows = [
        (
            fill.at_ns,
            fill.execution_id,
            fill.order_id,
            fill.instrument,
            fill.side.value,
            fill.quantity,
            fill.price,
            fill.cash,
            commissions[fill.execution_id],
            booked.bar_opened_ns,
        )
        for booked in fills
        for fill in (booked.fill,)
    ]
    return pl.DataFrame(rows, schema=_FILL_SCHEMA, orient="row")


def _order_frame(orders: Sequence[Order]) -> pl.DataFrame:
    rows = [
        (
            order.created_ns,
            order.updated_ns,
            order.id,
            order.instrument,
            order.side.value,
            order.type.value,
            order.time_in_force.value,
            order.quantity,
            order.limit_price,
            order.stop_price,
            order.status.value,
            order.filled,
            order.average_price if order.filled else None,
            order.reason,
        )
        for order in orders
    ]
    return pl.DataFrame(rows, schema=_ORDER_SCHEMA, orient="row")
