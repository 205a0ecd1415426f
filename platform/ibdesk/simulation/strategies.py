"""Small strategies that use every way of trading."""

from __future__ import annotations

import math

import polars as pl

from ibdesk.model import Bar, Fill, Quote, Side
from ibdesk.strategy import Strategy


class Swing(Strategy):
    """Holds a few shares in every other bar, by targets from a hook."""

    size: int = 5

    def on_bar(self, bar: Bar) -> None:
        """Turn around at each bar."""
        self.order_target(bar.instrument, 0 if self.position(bar.instrument).quantity else self.size)


class Trend(Strategy):
    """Is long above a moving average and short below it, by a declared target."""

    span: int = 4
    size: int = 3

    def features(self) -> dict[str, pl.Expr]:
        """Return the average."""
        return {"average": pl.col("close").ewm_mean(span=self.span, adjust=False)}

    def target(self) -> pl.Expr:
        """Return the wanted position."""
        return pl.when(pl.col("close") > pl.col("average")).then(self.size).otherwise(-self.size)


class Bracket(Strategy):
    """Buys, then places a limit above and a stop below; the one that fills cancels the other."""

    size: int = 4

    def on_start(self) -> None:
        """Cancel orders that lost their position while the strategy was away."""
        for symbol in self.symbols:
            if not self.position(symbol).quantity:
                self._withdraw_all(symbol)

    def on_bar(self, bar: Bar) -> None:
        """Buy when flat and nothing is open."""
        if not self.position(bar.instrument).quantity and not self.open_orders(bar.instrument):
            self.buy(bar.instrument, self.size)

    def on_fill(self, fill: Fill) -> None:
        """Protect a new position, and cancel the rest of a bracket that is done."""
        symbol = fill.instrument
        if fill.side is Side.BUY:
            self.sell(symbol, fill.quantity, limit=round(fill.price * 1.002, 2))
            self.sell(symbol, fill.quantity, stop=round(fill.price * 0.998, 2))
        elif not self.position(symbol).quantity:
            self._withdraw_all(symbol)

    def _withdraw_all(self, symbol: str) -> None:
        for order in self.open_orders(symbol):
            self.cancel(order.id)


class Quoter(Strategy):
    """Keeps a limit order near the market, and moves or cancels it by a timer."""

    size: int = 2
    seconds: float = 2.5

    def on_start(self) -> None:
        """Start the timer."""
        self.after(self.seconds, "move")

    def on_timer(self, name: str) -> None:
        """Move each open order, or place one; at each seventh time cancel it."""
        self.after(self.seconds, name)
        count = self.state["count"] = self.state.get("count", 0) + 1
        for symbol in self.symbols:
            quote, orders = self.quote(symbol), self.open_orders(symbol)
            if quote is None or not (math.isfinite(quote.bid) and math.isfinite(quote.ask)):
                continue
            held = self.position(symbol).quantity
            price = round(quote.bid if held <= 0 else quote.ask, 2)
            if not orders:
                (self.buy if held <= 0 else self.sell)(symbol, self.size, limit=price)
            for order in orders:
                if count % 7:
                    self.modify(order.id, limit=round(quote.bid if order.side is Side.BUY else quote.ask, 2))
                else:
                    self.cancel(order.id)


class Flicker(Strategy):
    """Trades single shares on quotes, back and forth."""

    every: int = 11

    def on_quote(self, quote: Quote) -> None:
        """Count the quotes, and trade at every n-th."""
        count = self.state["count"] = self.state.get("count", 0) + 1
        if count % self.every == 0:
            self.order_target(quote.instrument, 0 if self.position(quote.instrument).quantity else 1)


ALL: dict[str, type[Strategy]] = {each.__name__: each for each in (Swing, Trend, Bracket, Quoter, Flicker)}
"""All strategies by name."""
