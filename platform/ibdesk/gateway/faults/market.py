"""Faults of the market: halted, stale, crossed, gapped."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from typing import Annotated, Self

import msgspec

from ibdesk.errors import InstrumentError
from ibdesk.gateway.faults.fault import Fault, FaultContext, Seconds, Trigger, seconds_drawn
from ibdesk.model import Quote, Tick

Symbol = Annotated[str, msgspec.Meta(min_length=1, max_length=40)]
Change = Callable[[Quote | Tick], Quote | Tick]


class MarketFault(Fault, frozen=True, kw_only=True):
    """A fault of one instrument, or of all that are played, for some time."""

    symbol: Symbol | None = None
    for_seconds: Seconds = 10.0

    def strike(self, context: FaultContext, trigger: Trigger) -> str | None:  # noqa: ARG002
        """Begin with each instrument, and end after `for_seconds`."""
        symbols = [
            name for name in context.gateway.tape.states if self.symbol in (None, name) and _is_listed(context, name)
        ]
        for symbol in symbols:
            context.gateway.schedule.after(self.for_seconds, self.begin(context, symbol))
        return None if symbols else "no such instrument is played"

    def begin(self, context: FaultContext, symbol: str) -> Callable[[], None]:
        """Begin with one instrument; return the function that ends it."""
        raise NotImplementedError

    @classmethod
    def drawn(cls, chance: random.Random) -> Self:
        """Return one of a few seconds for the whole market."""
        return cls(for_seconds=seconds_drawn(chance, 1, 10))


class Halt(MarketFault, frozen=True, kw_only=True):
    """Trading is halted: no quote, no trade, no fill; orders wait; tick 49 reports it."""

    def begin(self, context: FaultContext, symbol: str) -> Callable[[], None]:
        """Halt the instrument."""
        tape = context.gateway.tape
        tape.halt(symbol)
        over = context.begin(f"halt {symbol}")

        def end() -> None:
            if over():
                tape.resume(symbol)

        return end


class GoStale(MarketFault, frozen=True, kw_only=True):
    """Clients receive no market data of an instrument, without any message, while it trades and orders fill."""

    def begin(self, context: FaultContext, symbol: str) -> Callable[[], None]:
        """Stop the instrument's market data."""
        tape = context.gateway.tape
        tape.stale(symbol)
        over = context.begin(f"stale {symbol}")

        def end() -> None:
            if over():
                tape.stale(symbol, is_stale=False)

        return end


class Cross(MarketFault, frozen=True, kw_only=True):
    """The bid is above the ask, by `ticks` of the price grid."""

    ticks: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 1

    def begin(self, context: FaultContext, symbol: str) -> Callable[[], None]:
        """Cross every quote."""
        by = self.ticks * _tick_size(context, symbol)

        def crossed(event: Quote | Tick) -> Quote | Tick:
            if isinstance(event, Tick) or math.isnan(event.mid):
                return event
            bid = _on_grid(context, symbol, event.ask + by)
            return msgspec.structs.replace(event, bid=bid)

        return _distort(context, symbol, crossed)


class Gap(MarketFault, frozen=True, kw_only=True):
    """Every price is `percent` higher, or lower if negative, from one quote to the next; later the prices return."""

    percent: Annotated[float, msgspec.Meta(ge=-90, le=1000)] = -10.0

    def begin(self, context: FaultContext, symbol: str) -> Callable[[], None]:
        """Shift every price."""
        factor = 1 + self.percent / 100

        def shifted(event: Quote | Tick) -> Quote | Tick:
            if isinstance(event, Tick):
                return msgspec.structs.replace(event, price=_on_grid(context, symbol, event.price * factor))
            bid, ask = (_on_grid(context, symbol, price * factor) for price in (event.bid, event.ask))
            above = _on_grid(context, symbol, bid + _tick_size(context, symbol))
            return msgspec.structs.replace(event, bid=bid, ask=max(ask, above))

        return _distort(context, symbol, shifted)

    @classmethod
    def drawn(cls, chance: random.Random) -> Self:
        """Return one of up to twenty percent either way."""
        return cls(for_seconds=seconds_drawn(chance, 1, 10), percent=round(chance.uniform(-20, 20), 1))


def _distort(context: FaultContext, symbol: str, change: Change) -> Callable[[], None]:
    """Change every event of an instrument, beginning with the present quote; return the function that ends it."""
    tape, schedule = context.gateway.tape, context.gateway.schedule
    true_quote = tape.quote(symbol)

    def changed(event: Quote | Tick) -> Quote | Tick:
        nonlocal true_quote
        if isinstance(event, Quote):
            true_quote = event
        return change(event)

    def take_quote() -> None:
        if true_quote is not None and not math.isnan(true_quote.mid):
            tape.take(msgspec.structs.replace(true_quote, at_ns=schedule.now_ns))

    def end() -> None:
        # A later fault of the same instrument may have replaced this one.
        if tape.distortions.get(symbol) is changed:
            del tape.distortions[symbol]
            take_quote()

    tape.distortions[symbol] = changed
    take_quote()
    return end


def _is_listed(context: FaultContext, symbol: str) -> bool:
    try:
        context.gateway.venue.exchange.instrument(symbol)
    except InstrumentError:
        return False
    return True


def _tick_size(context: FaultContext, symbol: str) -> float:
    return context.gateway.venue.exchange.instrument(symbol).tick_size


def _on_grid(context: FaultContext, symbol: str, price: float) -> float:
    instrument = context.gateway.venue.exchange.instrument(symbol)
    return price if math.isnan(price) else max(instrument.lowest_price, instrument.round_price(price))
