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
        # A strategy that writes its own on_bar decides by itself; the others are compared with their target here.
        self._by_hooks = type(run.strategy).on_bar is not Strategy.on_bar
        self._last_opened_ns = -1
        # The last target ordered for, and one whose order was refused: asking again would be refused again.
        self._aimed: float | None = None
        self._refused: float | None = None
        # The last target for which nothing was missing, as long as position and orders are as they were.
        self._settled: float | None = None
        self.last_bar: Bar | None = None
        # undecided: the last bar, with its target, while it decides nothing because it was late or came of a stall.
        self.undecided: tuple[Bar, float | None] | None = None
        # sums: what the run's open orders add up to; is_stale: position or orders have changed since the last look.
        self.sums = OpenOrders()
        self.is_stale, self._exposure = True, 0.0
        # Where the run is on its way to (see `engine.aims`): now, before this event, and as it was put on the record.
        self.aim: Aim | None = None
        self.kept_aim: Aim | None = None
        self.recorded_aim: Aim | None = None
        # The orders that the way waits for, with what must remain of each; whether a timer looks after them.
        self.waiting: dict[str, float] = {}
        self.is_timed = self.is_pursued = False
        # Whether a timer is waited for until the next closing order leaves.
        self.is_paused = False
        # Whether the last that was wanted is to be out, and the last order that led to a target.
        self.is_closed = False
        self.aimed_order = ""

    @property
    def exposure(self) -> float:
        """The position plus the entries that are pending, which a target is compared with."""
        if self.is_stale:
            self.is_stale, self._settled = False, None
            self._exposure = self.sums.exposure(self.run.book.position(self.instrument).quantity)
        return self._exposure

    def go_on(self, before: Lane) -> None:
        """Go on with the aim of a run that has ended."""
        self.aim = self.kept_aim = before.aim
        self.recorded_aim, self.waiting = before.recorded_aim, before.waiting
        self.is_timed, self.is_closed = before.is_timed, before.is_closed
        self.is_paused = before.is_paused

    def take_aim(self, aim: Aim | None) -> None:
        """Take an aim that is on the record."""
        self.aim = self.kept_aim = self.recorded_aim = aim

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
        if bar.interval_ns == self._interval_ns or self._whole_bars:
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
        if not self._freshness.holds_back:
            self.run.strategy.on_quote(quote)

    def decide(self, bar: Bar) -> None:
        """Step the features over a closed bar and let the strategy act on it. A bar known already is passed over.

        Of one that is late only the features learn, as of a bar of the history that a run starts from.
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
        """Act on the last bar of a stall, unless it is too old by now."""
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
        """Compare a target with the exposure, and order what is missing."""
        if wanted == self._refused:
            return
        self._refused = None
        if wanted != self.exposure or self.sums.rest:
            self._aimed = wanted
            self.run.aim(self.instrument, wanted)
        else:
            self._settled = wanted

    def refuse(self) -> None:
        """Remember that the venue or the risk gate refused the order that would have led to the target."""
        self._refused = self._aimed

    def allow(self) -> None:
        """Forget the refusal: what stood in the way is gone."""
        self._refused = None
