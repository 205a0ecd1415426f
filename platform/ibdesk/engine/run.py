"""One running strategy: the engine's end of its helpers."""

from __future__ import annotations

import datetime as dt
import enum
import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec

from ibdesk.engine.features import FeatureSource
from ibdesk.engine.lane import Lane
from ibdesk.engine.run_orders import RunOrders
from ibdesk.engine.state_changes import Change, KeptState, apply_changes
from ibdesk.errors import DeskError, InstrumentError, StrategyError
from ibdesk.model import (
    Order,
    Position,
    Quote,
    Severity,
    Side,
    StartStrategy,
    TimeInForce,
    WhenClosed,
    instrument_of,
    moment,
)
from ibdesk.strategy import Strategy, as_strategy_error, bind, plain_text, rebound

if TYPE_CHECKING:
    from ibdesk.engine.engine import Engine

FeatureFactory = Callable[[Strategy, str], FeatureSource]
"""Makes the feature source of a strategy on one instrument."""


class RunState(enum.Enum):
    """The state of a run."""

    RUNNING = "running"
    """It receives events and may order."""
    STOPPED = "stopped"
    """It was stopped; late fills still reach its book."""
    FAILED = "failed"
    """Its own code raised, and it was stopped."""
    ORPHANED = "orphaned"
    """It ran when an earlier desk stopped and was not started again; its book and orders are kept."""


class Run:
    """The engine's side of one strategy: the target of the strategy's helpers."""

    def __init__(
        self,
        engine: Engine,
        start: StartStrategy,
        strategy: Strategy,
        make_features: FeatureFactory,
        *,
        orders_made: int = 0,
    ) -> None:
        self._engine, self._outbox, self.orders = engine, engine.outbox, RunOrders(self, engine, made=orders_made)
        self.id, self.start = start.run_id, start
        self.state, self.note = RunState.RUNNING, ""
        # Whether its state is compared after each event.
        self.is_state_watched = False
        # Whether a hook has raised inside another hook, so that the run is about to end.
        self.is_faulty = False
        self.strategy = bind(strategy, self, start.state)
        self.lanes = {
            instrument.id: Lane(
                self, instrument.id, start, make_features(self.strategy, instrument.id), engine.orders.freshness
            )
            for instrument in start.instruments
        }
        self.book = engine.portfolio.open_book(start.run_id, float(start.cash))
        self._kept = KeptState(start.state)
        for lane in self.lanes.values():
            lane.sums = engine.blotter.sums(start.run_id, lane.instrument)

    def go_on(self, before: Run) -> None:
        """Continue the aims of the earlier run with this id."""
        for name, lane in before.lanes.items():
            self.lanes[name].go_on(lane)

    @property
    def is_running(self) -> bool:
        """Whether it receives events and may order."""
        return self.state is RunState.RUNNING

    def take_parameters(self, parameters: dict[str, Any], strategy: Strategy) -> None:
        """Continue with the parameters of `strategy`: features are recomputed over all bars so far, state stays.

        Raises:
            StrategyError: If the features cannot be computed with them; then nothing changes.
        """
        with as_strategy_error(f"{self.id} cannot continue with these parameters"):
            changed = rebound(self.strategy, strategy)
            features = [lane.features.again(changed) for lane in self.lanes.values()]
        self.strategy, self.start = changed, msgspec.structs.replace(self.start, parameters=parameters)
        for lane, computed in zip(self.lanes.values(), features, strict=True):
            lane.features = computed
            lane.allow()

    # --- saved state

    @property
    def saved_state(self) -> dict[str, Any]:
        """A copy of the strategy's state after the last event that did not fail."""
        return self._kept.copy()

    def keep_state(self) -> list[Change]:
        """Store the strategy's state as its last good one; return the changes.

        Raises:
            StrategyError: If the state is not plain data.
        """
        try:
            return self._kept.keep(self.strategy.state)
        except (TypeError, ValueError, OverflowError, RecursionError) as error:
            raise StrategyError(f"{self.id}: self.state holds only numbers, text, lists and dicts: {error}") from None

    def take_state_changes(self, changes: list[Change]) -> None:
        """Apply recorded changes to the last good state."""
        self._kept = KeptState(apply_changes(self._kept.copy(), changes))

    def watch_state(self) -> None:
        """Compare the state after each event from now on, because the strategy uses it."""
        self._engine.calls.watch_state(self)

    # --- what the strategy can read

    @property
    def now(self) -> dt.datetime:
        """The time of the current event, UTC."""
        return moment(self._outbox.now_ns)

    @property
    def symbols(self) -> tuple[str, ...]:
        """The ids of the instruments it runs on."""
        return tuple(self.lanes)

    @property
    def cash(self) -> float:
        """The money of this run."""
        return self.book.cash

    def position(self, symbol: str) -> Position:
        """Return the position of this run."""
        return self.book.position(self._lane(symbol).instrument)

    def open_orders(self, symbol: str) -> list[Order]:
        """Return the orders of this run that may still fill, oldest first."""
        return self._engine.blotter.open_orders(self.id, self._lane(symbol).instrument)

    def quote(self, symbol: str) -> Quote | None:
        """Return the last quote, None before the first."""
        return self._engine.markets[self._lane(symbol).instrument].quote

    def feature(self, name: str, symbol: str) -> float | None:
        """Return the feature's value at the last closed bar."""
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
        outside_regular_hours: bool = False,
        when_closed: WhenClosed = WhenClosed.USUAL,
    ) -> str:
        """Send an order through the risk gate and return its id.

        Figures of any kind of number become floats, which is what the journal gives back at a replay.

        Raises:
            StrategyError: If the run has ended.
        """
        self._check_running()
        # A call of the enumeration costs more than the test whether it is needed.
        if time_in_force.__class__ is not TimeInForce:
            time_in_force = TimeInForce(time_in_force)
        if when_closed.__class__ is not WhenClosed:
            when_closed = WhenClosed(when_closed)
        order_id = self.orders.send(
            self._lane(symbol),
            side=side,
            quantity=float(quantity),
            limit_price=limit_price,
            stop_price=stop_price,
            time_in_force=time_in_force,
            outside_regular_hours=bool(outside_regular_hours),
            when_closed=when_closed,
        )
        # Its on_order may have failed at the denial.
        self._check_running()
        return order_id

    def aim(self, symbol: str, quantity: float) -> str | None:
        """Lead the position to `quantity`; return the order's id, None if none leaves now (see `engine.aims`)."""
        self._check_running()
        lane = self._lane(symbol)
        instrument = self._engine.markets[lane.instrument].instrument
        # A target between two sizes is rounded towards zero.
        order_id = self._engine.orders.aims.aim(lane, instrument.round_size(float(quantity)))
        self._check_running()
        return order_id

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
        if order is None or order.owner != self.id or self._engine.orders.overrules.keeps(order, is_cancel=False):
            return
        self.orders.go_inside()
        try:
            self._engine.orders.modifications.modify(
                order.id,
                quantity=_float(quantity),
                limit_price=_float(limit_price),
                stop_price=_float(stop_price),
            )
        finally:
            self.orders.go_outside()

    def cancel(self, order_id: str) -> None:
        """Withdraw an open order of this run."""
        self._check_running()
        order = self._engine.blotter.orders.get(order_id)
        if order is None or order.owner != self.id or self._engine.orders.overrules.keeps(order, is_cancel=True):
            return
        self.orders.go_inside()
        try:
            self._engine.orders.cancel(order.id)
        finally:
            self.orders.go_outside()

    def set_timer(self, name: str, seconds: float) -> None:
        """Call `on_timer(name)` after `seconds`."""
        self._check_running()
        if not abs(seconds) <= _LONGEST_TIMER:
            raise StrategyError(f"{self.id}: a timer must be at most {_LONGEST_TIMER:,.0f} seconds, got {seconds!r}")
        self._engine.set_timer(plain_text(f"{self.id}/{name}", longest=_LONGEST_NAME), float(seconds))

    def say(self, text: str, severity: Severity = Severity.INFO) -> None:
        """Record a line and show it to people."""
        self._check_running()
        self._engine.alert(self.id, plain_text(text, longest=_LONGEST_LINE), Severity(severity))

    def _check_running(self) -> None:
        if self._outbox.is_open and self.state is RunState.RUNNING and not self.is_faulty:
            return
        if not self._outbox.is_open:
            raise StrategyError(f"{self.id}: the helpers of a strategy work only inside its on_... hooks")
        if self.is_faulty:
            raise StrategyError(f"{self.id} has failed and stopped: its on_order raised")
        if not self.is_running:
            raise StrategyError(f"{self.id} is {self.state.value} and cannot order: start it again")

    def _lane(self, symbol: str) -> Lane:
        lane = self.lanes.get(symbol) or self.lanes.get(_id_of(symbol, self.now.year))
        if lane is None:
            on = ", ".join(self.lanes)
            raise InstrumentError(f"{self.id} runs on {on}, not on {symbol!r}: start it on that too")
        return lane


_LONGEST_TIMER = 1e9
_LONGEST_NAME = 200
_LONGEST_LINE = 10_000


def check_succession(before: Run, start: StartStrategy) -> None:
    """Refuse a start under the id of a running run, or one that omits an instrument of the earlier run.

    Raises:
        DeskError: With the reason.
    """
    if before.is_running:
        raise DeskError(f"there already is a run {before.id}: give the new one another id")
    missing = set(before.lanes) - {instrument.id for instrument in start.instruments}
    if missing:
        raise DeskError(f"to continue {before.id}, start it on {', '.join(sorted(missing))} too")


@functools.lru_cache(maxsize=1024)
def _id_of(name: str, near_year: int) -> str:
    """Return the id of an instrument by another of its names, such as BRK-B."""
    try:
        return instrument_of(name, near_year=near_year).id
    except InstrumentError:
        return ""


def _float(figure: float | None) -> float | None:
    return None if figure is None else float(figure)
