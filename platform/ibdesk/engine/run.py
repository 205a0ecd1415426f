"""One running strategy: its lanes, one an instrument, and the engine's end of its helpers."""

from __future__ import annotations

import datetime as dt
import enum
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec

from ibdesk.engine.bars import BarBuilder
from ibdesk.engine.features import FeatureSource
from ibdesk.errors import InstrumentError, StrategyError
from ibdesk.model import (
    Bar,
    BarHistory,
    BarSource,
    Order,
    OrderType,
    Position,
    Quote,
    Severity,
    Side,
    StartStrategy,
    Tick,
    TimeInForce,
    moment,
)
from ibdesk.strategy import Strategy, bind

if TYPE_CHECKING:
    from ibdesk.engine.engine import Engine

FeatureFactory = Callable[[Strategy, str], FeatureSource]
"""Makes the feature source of a strategy on one instrument."""


class RunState(enum.Enum):
    """Where a run is in its life."""

    # RUNNING: it gets events and may order.
    RUNNING = "running"
    # STOPPED: it was stopped; late fills still reach its book.
    STOPPED = "stopped"
    # FAILED: its own code raised; it was stopped as by a person.
    FAILED = "failed"
    # ORPHANED: it ran when an earlier life of the desk ended and was not started again; book and orders are kept.
    ORPHANED = "orphaned"


class Lane:
    """One run on one instrument: builds its bars, steps its features, and compares target with exposure."""

    __slots__ = (
        "_aimed",
        "_builder",
        "_by_hooks",
        "_interval_ns",
        "_last_opened_ns",
        "_refused",
        "_source",
        "closing_order",
        "exposure",
        "features",
        "instrument",
        "last_bar",
        "run",
        "takes_bars",
    )

    def __init__(self, run: Run, instrument: str, start: StartStrategy, features: FeatureSource) -> None:
        self.run, self.instrument, self.features = run, instrument, features
        self._interval_ns, self._source = start.interval_ns, start.bar_source
        self.takes_bars = start.bar_source is BarSource.BARS
        self._builder = BarBuilder(instrument, start.interval_ns)
        # A strategy that writes its own on_bar decides by itself; the others are compared with their target here.
        self._by_hooks = type(run.strategy).on_bar is not Strategy.on_bar
        self._last_opened_ns = -1
        # The last target ordered for, and one whose order was refused: asking again would be refused again.
        self._aimed: float | None = None
        self._refused: float | None = None
        self.last_bar: Bar | None = None
        # The position once all open orders have filled.
        self.exposure = 0.0
        # The order that makes a run flat which was stopped so.
        self.closing_order: str | None = None

    def warm_up(self, history: BarHistory) -> None:
        """Take past bars of the run's interval, on which nothing is decided."""
        self.features.warm_up(history)
        if history.opened_ns:
            self._last_opened_ns = history.opened_ns[-1]

    def catch_up(self, history: BarHistory) -> None:
        """Take the parts of the bar in progress that are past already."""
        if not self.takes_bars:
            return
        columns = (history.opened_ns, history.open, history.high, history.low, history.close, history.volume)
        for opened_ns, *prices in zip(*columns, strict=True):
            self.on_bar(Bar(self.instrument, opened_ns, history.interval_ns, *prices))

    @property
    def bar_in_progress(self) -> Bar | None:
        """The bar of this lane that is still being built, if it is built here."""
        return self._builder.in_progress

    def on_bar(self, bar: Bar) -> None:
        """Take a bar from the venue: a bar of this lane, or a part of one."""
        if bar.interval_ns == self._interval_ns:
            self.decide(bar)
        elif bar.interval_ns < self._interval_ns:
            for built in self._builder.add_bar(bar):
                self.decide(built)

    def on_tick(self, tick: Tick) -> None:
        """Take a trade print."""
        if self._source is BarSource.TICKS:
            for built in self._builder.add_tick(tick):
                self.decide(built)

    def on_quote(self, quote: Quote) -> None:
        """Take a quote."""
        if self._source is BarSource.QUOTES:
            for built in self._builder.add_quote(quote):
                self.decide(built)
        self.run.strategy.on_quote(quote)

    def decide(self, bar: Bar) -> None:
        """Step the features over a closed bar and let the strategy act on it. A bar known already is passed over."""
        if bar.opened_ns <= self._last_opened_ns:
            return
        self._last_opened_ns = bar.opened_ns
        self.last_bar = bar
        wanted = self.features.step(bar)
        if self._by_hooks:
            self.run.strategy.on_bar(bar)
        elif wanted is not None and wanted != self._refused:
            self._refused = None
            if wanted != self.exposure:
                self._aimed = wanted
                self.run.aim(self.instrument, wanted)

    def refuse(self) -> None:
        """Remember that the venue or the risk gate refused the order that would have led to the target."""
        self._refused = self._aimed

    def allow(self) -> None:
        """Forget the refusal: what stood in the way is gone."""
        self._refused = None


class Run:
    """The engine's end of one strategy; what the strategy's helpers call."""

    def __init__(
        self,
        engine: Engine,
        start: StartStrategy,
        strategy: Strategy,
        make_features: FeatureFactory,
        *,
        orders_made: int = 0,
    ) -> None:
        self._engine = engine
        self.id, self.start = start.run_id, start
        self.state, self.note = RunState.RUNNING, ""
        self.strategy = bind(strategy, self, start.state)
        self.lanes = {
            instrument.id: Lane(self, instrument.id, start, make_features(self.strategy, instrument.id))
            for instrument in start.instruments
        }
        self.book = engine.portfolio.open_book(start.run_id, float(start.cash))
        # The number of the newest order; a run that goes on after a restart counts on.
        self.orders_made = orders_made
        self._saved = encode_state(start.state)
        for lane in self.lanes.values():
            lane.exposure = engine.orders.exposure(start.run_id, lane.instrument)

    def count(self, order_id: str) -> None:
        """Take note of an order of this run that an earlier life has made: the next one gets a higher number."""
        run_id, _, number = order_id.rpartition(".")
        if run_id == self.id and number.isdigit():
            self.orders_made = max(self.orders_made, int(number))

    @property
    def is_running(self) -> bool:
        """Whether it gets events and may order."""
        return self.state is RunState.RUNNING

    def take_parameters(self, parameters: dict[str, Any], strategy: Strategy) -> None:
        """Go on with the parameters of `strategy`: features are computed anew over all bars so far, state stays.

        Raises:
            DecisionError: If the features cannot be computed with them; then nothing has changed.
        """
        fields = {name: getattr(strategy, name) for name in type(strategy).model_fields}
        changed = self.strategy.model_copy(update=fields)
        features = [lane.features.again(changed) for lane in self.lanes.values()]
        self.strategy, self.start = changed, msgspec.structs.replace(self.start, parameters=parameters)
        for lane, computed in zip(self.lanes.values(), features, strict=True):
            lane.features = computed
            lane.allow()

    # --- what outlives it

    @property
    def saved_state(self) -> dict[str, Any]:
        """A copy of the strategy's state as it was after the last event that did not fail."""
        return decode_state(self._saved)

    def keep_state(self) -> bool:
        """Keep the strategy's state as its last good one; return whether it has changed.

        Raises:
            StrategyError: If it is not plain data.
        """
        try:
            encoded = encode_state(self.strategy.state)
        except (TypeError, ValueError, RecursionError) as error:
            raise StrategyError(f"{self.id}: self.state takes numbers, text, lists and dicts only: {error}") from None
        if encoded == self._saved:
            return False
        self._saved = encoded
        return True

    def take_state(self, state: dict[str, Any]) -> None:
        """Take a recorded state as the last good one."""
        self._saved = encode_state(state)

    def touch_state(self) -> None:
        """Have the state looked at after each event from now on: the strategy uses it."""
        self._engine.watch_state(self)

    # --- what the strategy may know

    @property
    def now(self) -> dt.datetime:
        """The time of the event being handled, UTC."""
        return moment(self._engine.now_ns)

    @property
    def symbols(self) -> tuple[str, ...]:
        """The ids of the instruments it runs on."""
        return tuple(self.lanes)

    @property
    def cash(self) -> float:
        """The money of this run."""
        return self.book.cash

    def position(self, symbol: str) -> Position:
        """What this run holds."""
        return self.book.position(self._lane(symbol).instrument)

    def open_orders(self, symbol: str) -> list[Order]:
        """The orders of this run that may still fill, oldest first."""
        return self._engine.blotter.open_orders(self.id, self._lane(symbol).instrument)

    def quote(self, symbol: str) -> Quote | None:
        """The last quote, None before the first."""
        return self._engine.markets[self._lane(symbol).instrument].quote

    def feature(self, name: str, symbol: str) -> float | None:
        """The feature's value at the last closed bar."""
        return self._lane(symbol).features.value(name)

    # --- what the strategy may do

    def submit(
        self,
        symbol: str,
        *,
        side: Side,
        quantity: float,
        limit_price: float | None = None,
        stop_price: float | None = None,
        time_in_force: TimeInForce = TimeInForce.DAY,
    ) -> str:
        """Send an order through the risk gate and return its id.

        Figures of any kind of number become floats, which is what the journal gives back at a replay.

        Raises:
            StrategyError: If the run has ended.
        """
        self._check_running()
        return self._send(
            symbol,
            side=side,
            quantity=float(quantity),
            limit_price=limit_price,
            stop_price=stop_price,
            time_in_force=TimeInForce(time_in_force),
        )

    def _send(
        self,
        symbol: str,
        *,
        side: Side,
        quantity: float,
        limit_price: float | None = None,
        stop_price: float | None = None,
        time_in_force: TimeInForce = TimeInForce.DAY,
    ) -> str:
        lane = self._lane(symbol)
        self.orders_made += 1
        order = Order(
            id=f"{self.id}.{self.orders_made}",
            owner=self.id,
            instrument=lane.instrument,
            side=side,
            # A whole number or a numpy scalar is written into the journal as another type than a float.
            quantity=float(quantity),
            type=_TYPES[limit_price is not None, stop_price is not None],
            limit_price=_float(limit_price),
            stop_price=_float(stop_price),
            time_in_force=time_in_force,
            created_ns=self._engine.now_ns,
            updated_ns=self._engine.now_ns,
            correlation_id=self._engine.correlation_id,
        )
        self._engine.orders.submit(order.checked())
        return order.id

    def aim(self, symbol: str, quantity: float) -> str | None:
        """Order what is missing to hold `quantity` once all open orders have filled."""
        self._check_running()
        return self._aim(symbol, float(quantity))

    def flatten(self) -> None:
        """Close what the run holds, each position once, although it has ended.

        What its cancelled orders fill on the way stays and is seen in its book.
        """
        for lane in self.lanes.values():
            closing = self._engine.blotter.orders.get(lane.closing_order or "")
            if closing is None or not closing.is_open:
                lane.exposure = self.book.position(lane.instrument).quantity
                lane.closing_order = self._aim(lane.instrument, 0.0)

    def _aim(self, symbol: str, quantity: float) -> str | None:
        lane = self._lane(symbol)
        missing = quantity - lane.exposure
        # Less than a billionth is what adding binary fractions leaves.
        if abs(missing) <= 1e-9 * max(abs(quantity), abs(lane.exposure)):
            return None
        return self._send(symbol, side=Side.BUY if missing > 0 else Side.SELL, quantity=abs(missing))

    def modify(
        self,
        order_id: str,
        *,
        quantity: float | None = None,
        limit_price: float | None = None,
        stop_price: float | None = None,
    ) -> None:
        """Change the terms of an open order of this run that are not None."""
        self._check_running()
        order = self._engine.blotter.orders.get(order_id)
        if order is None or order.owner != self.id:
            return
        self._engine.orders.modify(
            order_id,
            quantity=None if quantity is None else float(quantity),
            limit_price=limit_price,
            stop_price=stop_price,
        )

    def cancel(self, order_id: str) -> None:
        """Withdraw an open order of this run."""
        order = self._engine.blotter.orders.get(order_id)
        if order is not None and order.owner == self.id:
            self._engine.orders.cancel(order_id)

    def set_timer(self, name: str, seconds: float) -> None:
        """Have `on_timer(name)` called after so many seconds."""
        self._engine.set_timer(f"{self.id}/{name}", seconds)

    def say(self, text: str, severity: Severity = Severity.INFO) -> None:
        """Put a line on the record and before people's eyes."""
        self._engine.alert(self.id, str(text), Severity(severity))

    def _check_running(self) -> None:
        if not self.is_running:
            raise StrategyError(f"{self.id} is {self.state.value} and orders no more: start it again")

    def _lane(self, symbol: str) -> Lane:
        try:
            return self.lanes[symbol]
        except KeyError:
            on = ", ".join(self.lanes)
            raise InstrumentError(f"{self.id} runs on {on}, not on {symbol!r}: start it on that too") from None


encode_state = msgspec.msgpack.Encoder().encode
decode_state = msgspec.msgpack.Decoder(dict[str, Any]).decode


def _float(figure: float | None) -> float | None:
    return None if figure is None else float(figure)


_TYPES = {
    (False, False): OrderType.MARKET,
    (True, False): OrderType.LIMIT,
    (False, True): OrderType.STOP,
    (True, True): OrderType.STOP_LIMIT,
}
