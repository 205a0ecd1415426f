"""Freshness: the age of prices and bars when an order is decided, and decisions held back after a stall.

A price has two ages: by the venue, since the time its event carries (the close of a bar), and by us, since it was
received. The larger one counts. TWS stamps neither quotes nor prints, so theirs are equal. Both are in seconds of wall
time: if the market runs faster than the wall clock, so does age.

These rules apply to orders that open a position. Orders that reduce or protect one always pass. Without `ClockRead`
events, as in a backtest, the time is that of the events: a bar decides at its own close, so nothing is ever late, and
prices have no age.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from ibdesk.engine.outbox import Outbox
from ibdesk.errors import OrderDeniedError
from ibdesk.model import (
    AnyInstrument,
    Bar,
    ClockRead,
    Combination,
    Forex,
    Future,
    MarketHalted,
    Option,
    Order,
    Severity,
    Side,
    Stalled,
    moment,
)

if TYPE_CHECKING:
    from ibdesk.engine.market import Market
    from ibdesk.engine.risk import RiskGate
    from ibdesk.engine.run import Run

CATCHING_UP = "catching_up"
"""The rule that denies opening orders while a desk that stood still compares its books."""

PASSING_RULES = frozenset(
    {
        CATCHING_UP,
        "halted_market",
        "crossed_market",
        "max_spread",
        "self_crossing",
        "max_price_age_shares",
        "max_price_age_futures",
        "max_price_age_currency",
        "max_price_age_options",
    }
)
"""Rules that deny for temporary reasons: the same order can pass a while later."""

_SECOND = 1_000_000_000


def age_rule(instrument: AnyInstrument) -> str:
    """Return the name of the limit on the age of an instrument's price."""
    match instrument:
        case Future():
            return "max_price_age_futures"
        case Forex():
            return "max_price_age_currency"
        case Option() | Combination():
            return "max_price_age_options"
    return "max_price_age_shares"


class Freshness:
    """Our clock by the events, and whether the current event may lead to decisions."""

    __slots__ = ("_gate", "_late", "_left_out", "_outbox", "clock_ns", "holds_back", "is_catching_up", "speed")

    def __init__(self, outbox: Outbox, gate: RiskGate) -> None:
        self._outbox, self._gate = outbox, gate
        # The last reading of the desk's clock, 0 without one, and its seconds per second of wall time.
        self.clock_ns, self.speed = 0, 1.0
        # Whether the current event must not lead to decisions.
        self.holds_back = self.is_catching_up = False
        # The instruments whose last bar was late, and the decisions left out since the first of them.
        self._late: dict[str, None] = {}
        self._left_out = 0

    @property
    def now_ns(self) -> int:
        """The time of the current event by our clock: for a bar its arrival, not its close."""
        clock_ns, event = self.clock_ns, self._outbox.event
        if not clock_ns or event is None:
            return self._outbox.now_ns
        if event.__class__ is Bar:
            return clock_ns
        at_ns = event.at_ns
        return at_ns if at_ns > clock_ns else clock_ns

    def seconds_since(self, at_ns: int) -> float:
        """Return the seconds of wall time since a time of our clock."""
        return (self.now_ns - at_ns) / self.speed / _SECOND

    # --- events

    def on_clock_read(self, clock: ClockRead) -> None:
        """Set our clock, which never goes back."""
        self.clock_ns, self.speed = max(self.clock_ns, clock.at_ns), clock.speed

    def on_stalled(self, stalled: Stalled) -> None:
        """Hold decisions back until the books are compared."""
        self.holds_back = self.is_catching_up = True
        self._outbox.alert(
            "desk",
            f"this process stood still for {stalled.seconds:.1f} s: data from that time decides nothing, and no order "
            f"opens a position until the books are compared with TWS",
            Severity.WARNING,
        )

    def catch_up(self) -> bool:
        """Allow decisions again, as the books agree; return whether the desk had stood still."""
        was_catching_up = self.is_catching_up
        self.holds_back = self.is_catching_up = False
        return was_catching_up

    def decide_again(self, runs: Mapping[str, Run], call: Callable[..., None]) -> None:
        """Let the last bar of each run decide after a stall, if it is still fresh."""
        self._outbox.alert("desk", "the desk has caught up: strategies decide again", Severity.WARNING)
        for run in list(runs.values()):
            for lane in run.lanes.values():
                if run.is_running:
                    call(run, lane.catch_up_decision)

    def on_market_halted(self, markets: Mapping[str, Market], change: MarketHalted) -> None:
        """Note that an instrument's market was halted or resumed."""
        market = markets.get(change.instrument)
        if market is None or market.is_halted is change.is_halted:
            return
        market.is_halted = change.is_halted
        words = "halted by the venue: no order opens a position" if change.is_halted else "trades again after a halt"
        self._outbox.alert("market", f"{change.instrument} {words}", Severity.WARNING)

    # --- bars

    def take_bar(self, market: Market, bar: Bar) -> None:
        """Set the price by a bar, and decide whether the bar is in time."""
        self._judge(bar)
        at_ns = min(bar.at_ns, self.clock_ns)
        # A late bar is older than quotes and prints since.
        if not self.holds_back or at_ns >= market.price_at_ns:
            market.price = market.last = bar.close
            market.price_at_ns = at_ns

    def _judge(self, bar: Bar) -> None:
        """Decide, once for all runs, whether a bar of the venue is too late."""
        late_seconds = (self.clock_ns - bar.at_ns) / self.speed / _SECOND
        patience = self._gate.limits.max_bar_lateness_seconds
        if late_seconds <= patience:
            if self._late:
                self._in_time(bar.instrument)
            return
        self.holds_back = True
        if not self._late:
            self._outbox.alert(
                "market",
                f"bars are late: that of {bar.instrument} which closed at {moment(bar.at_ns):%H:%M:%S} UTC came "
                f"{late_seconds:.1f} s after its close, risk.max_bar_lateness_seconds allows {patience:g}: "
                f"bars as late as that decide nothing",
                Severity.WARNING,
            )
        self._late[bar.instrument] = None

    def is_in_time(self, bar: Bar) -> bool:
        """Return whether a bar closed recently enough to decide."""
        return self.seconds_since(bar.at_ns) <= self._gate.limits.max_bar_lateness_seconds

    def leave_out(self) -> None:
        """Count a decision that was left out because of a late bar or a stall."""
        self._left_out += 1

    def _in_time(self, instrument: str) -> None:
        """Report the decisions left out, once no instrument's bars are late."""
        if self._late.pop(instrument, self) is None and not self._late:
            text = f"bars are in time again: {self._left_out} decisions were left out"
            self._outbox.alert("market", text, Severity.WARNING)
            self._left_out = 0

    # --- orders

    def check(self, order: Order, market: Market, opens_at: Callable[[Order], int]) -> None:
        """Deny an order that opens a position if the market is not fit to trade.

        While the market is closed (`opens_at` returns until when) quotes mean nothing and prices are old: such an order
        waits for the open, here or at the venue.

        Raises:
            OrderDeniedError: At the first rule it breaks.
        """
        if self.is_catching_up:
            raise OrderDeniedError(order.id, CATCHING_UP, 0.0, order.quantity)
        if market.is_halted:
            raise OrderDeniedError(order.id, "halted_market", 0.0, order.quantity)
        limits, quote = self._gate.limits, market.quote
        rule, limit, asked = "", 0.0, 0.0
        if quote is not None:
            bid, ask = quote.bid, quote.ask
            if bid > ask:
                rule, limit, asked = "crossed_market", ask, bid
            # A missing side is NaN, and the spread unknown.
            elif ask - bid > limits.max_spread * (abs(ask + bid) / 2) and _takes(order, bid, ask):
                rule, limit, asked = "max_spread", limits.max_spread, _spread(bid, ask)
        # Without any known price, an order with a limit price passes this rule.
        if self.clock_ns and not rule and (market.price_at_ns or order.limit_price is None):
            age_ns, limit = self.now_ns - market.price_at_ns, getattr(limits, market.age_rule)
            if age_ns > limit * self.speed * _SECOND:
                rule, asked = market.age_rule, age_ns / self.speed / _SECOND
        if rule and not opens_at(order):
            raise OrderDeniedError(order.id, rule, limit, asked)


def freshness_handlers(freshness: Freshness, markets: Mapping[str, Market]) -> dict[type, Callable[[Any], None]]:
    """Return the handlers of events of our clock and of the market's state, by kind."""
    return {
        ClockRead: freshness.on_clock_read,
        Stalled: freshness.on_stalled,
        MarketHalted: lambda change: freshness.on_market_halted(markets, change),
    }


def _spread(bid: float, ask: float) -> float:
    """Return the spread as a fraction of the middle."""
    return (ask - bid) / (abs(ask + bid) / 2) if ask + bid else float("inf")


def _takes(order: Order, bid: float, ask: float) -> bool:
    """Return whether an order would trade against the other side of the quote, now or once its stop is reached."""
    if order.limit_price is None:
        return True
    return order.limit_price >= ask if order.side is Side.BUY else order.limit_price <= bid
