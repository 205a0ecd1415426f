"""One running strategy on one of its instruments."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ibdesk.engine.bars import BarBuilder
from ibdesk.engine.features import FeatureSource
from ibdesk.engine.freshness import Freshness
from ibdesk.engine.open_orders import OpenOrders
from ibdesk.model import Aim, Bar, BarHistory, BarSource, Quote, StartStrategy, Tick
from ibdesk.strategy import Strategy

if TYPE_CHECKING:
    from ibdesk.engine.run import Run


class Lane:
    """One run on one instrument: builds its bars, steps its features, and compares target with exposure."""

    __slots__ = (
        "_aimed",
        "_builder",
        "_by_hooks",
        "_exposure",
        "_freshness",
        "_interval_ns",
        "_last_opened_ns",
        "_refused",
        "_settled",
        "_source",
        "_whole_bars",
        "aim",
        "aimed_order",
        "features",
        "instrument",
        "is_closed",
        "is_paused",
        "is_pursued",
        "is_stale",
        "is_timed",
        "kept_aim",
        "last_bar",
        "recorded_aim",
        "run",
        "sums",
        "takes_bars",
        "undecided",
        "waiting",
    )

    def __init__(
        self, run: Run, instrument: str, start: StartStrategy, features: FeatureSource, freshness: Freshness
    ) -> None:
        self.run, self.instrument, self.features, self._freshness = run, instrument, features, freshness
        self._interval_ns, self._source = start.interval_ns, start.bar_source
        self._whole_bars = start.whole_bars
        self.takes_bars = start.bar_source is BarSource.BARS
        self._builder = BarBuilder(instrument, start.interval_ns)
        # A strategy with its own on_bar decides by itself; for others the target is compared with the exposure here.
        self._by_hooks = type(run.strategy).on_bar is not Strategy.on_bar
        self._last_opened_ns = -1
        # The last ordered target, and one whose order was refused: a repeat would be refused again.
        self._aimed: float | None = None
        self._refused: float | None = None
        # The last target that was reached, while position and orders are unchanged.
        self._settled: float | None = None
        self.last_bar: Bar | None = None
        # The last bar and its target, while it decides nothing because of a stall or because it was late.
        self.undecided: tuple[Bar, float | None] | None = None
        # The sums of the run's open orders; stale if position or orders have changed since the last comparison.
        self.sums = OpenOrders()
        self.is_stale, self._exposure = True, 0.0
        # The aim of the run (see `engine.aims`): now, before this event, and as recorded.
        self.aim: Aim | None = None
        self.kept_aim: Aim | None = None
        self.recorded_aim: Aim | None = None
        # The orders that the aim waits for, with the quantity that must remain; whether a timer is set for them.
        self.waiting: dict[str, float] = {}
        self.is_timed = self.is_pursued = False
        # Whether the next closing order waits for a timer.
        self.is_paused = False
        # Whether the last target was zero, and the last order that led to a target.
        self.is_closed = False
        self.aimed_order = ""

    @property
    def exposure(self) -> float:
        """The position plus pending entries, which is compared with a target."""
        if self.is_stale:
            self.is_stale, self._settled = False, None
            self._exposure = self.sums.exposure(self.run.book.position(self.instrument).quantity)
        return self._exposure

    def go_on(self, before: Lane) -> None:
        """Continue the aim of a run that has ended."""
        self.aim = self.kept_aim = before.aim
        self.recorded_aim, self.waiting = before.recorded_aim, before.waiting
        self.is_timed, self.is_closed = before.is_timed, before.is_closed
        self.is_paused = before.is_paused

    def take_aim(self, aim: Aim | None) -> None:
        """Set a recorded aim."""
        self.aim = self.kept_aim = self.recorded_aim = aim

    def warm_up(self, history: BarHistory) -> None:
        """Add past bars of the run's interval, on which nothing is decided."""
        self.features.warm_up(history)
        if history.opened_ns:
            self._last_opened_ns = history.opened_ns[-1]

    def catch_up(self, history: BarHistory) -> None:
        """Add the past parts of the bar in progress."""
        if not self.takes_bars:
            return
        columns = (history.opened_ns, history.open, history.high, history.low, history.close, history.volume)
        for opened_ns, *prices in zip(*columns, strict=True):
            self.on_bar(Bar(self.instrument, opened_ns, history.interval_ns, *prices))

    @property
    def bar_in_progress(self) -> Bar | None:
        """The bar that this lane is building, if any."""
        return self._builder.in_progress

    def on_bar(self, bar: Bar) -> None:
        """Handle a bar of the venue: a bar of this lane, or a part of one."""
        if bar.interval_ns == self._interval_ns or self._whole_bars:
            self.decide(bar)
        elif bar.interval_ns < self._interval_ns:
            for built in self._builder.add_bar(bar):
                self.decide(built)

    def on_tick(self, tick: Tick) -> None:
        """Handle a trade print."""
        if self._source is BarSource.TICKS:
            for built in self._builder.add_tick(tick):
                self.decide(built)

    def on_quote(self, quote: Quote) -> None:
        """Handle a quote."""
        if self._source is BarSource.QUOTES:
            for built in self._builder.add_quote(quote):
                self.decide(built)
        if not self._freshness.holds_back:
            self.run.strategy.on_quote(quote)

    def decide(self, bar: Bar) -> None:
        """Step the features over a closed bar and let the strategy act on it. A known bar is ignored.

        A late bar only updates the features, like a bar of the history at the start of a run.
        """
        opened_ns = bar.opened_ns
        if opened_ns <= self._last_opened_ns:
            return
        self._last_opened_ns = opened_ns
        self.last_bar = bar
        wanted = self.features.step(bar)
        if self._freshness.holds_back:
            self.undecided = bar, wanted
            self._freshness.leave_out()
        elif self._by_hooks:
            self.run.strategy.on_bar(bar)
        elif wanted is not None and (wanted != self._settled or self.is_stale):
            self._pursue(wanted)

    def catch_up_decision(self) -> None:
        """Act on the last bar of a stall, unless it is too old."""
        if self.undecided is None:
            return
        (bar, wanted), self.undecided = self.undecided, None
        if bar is not self.last_bar or not self._freshness.is_in_time(bar):
            return
        if self._by_hooks:
            self.run.strategy.on_bar(bar)
        elif wanted is not None:
            self._pursue(wanted)

    def _pursue(self, wanted: float) -> None:
        """Compare a target with the exposure, and order the missing quantity."""
        if wanted == self._refused:
            return
        self._refused = None
        if wanted != self.exposure or self.sums.rest:
            self._aimed = wanted
            self.run.aim(self.instrument, wanted)
        else:
            self._settled = wanted

    def refuse(self) -> None:
        """Note that the venue or the risk gate refused the order to the target."""
        self._refused = self._aimed

    def allow(self) -> None:
        """Forget the refusal, because its reason may be gone."""
        self._refused = None
