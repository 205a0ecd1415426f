"""A test's hand on the market of its gateway."""

from __future__ import annotations

from ibdesk.testing.gateway import RunningGateway


class MarketHand:
    """Moves the market now: when a method returns, orders have been filled at it and clients are being told."""

    def __init__(self, gateway: RunningGateway) -> None:
        self._gateway = gateway

    def quote(
        self, symbol: str, bid: float | None, ask: float | None, *, bid_size: float = 100.0, ask_size: float = 100.0
    ) -> None:
        """Quote an instrument (``AAPL``, ``EUR.USD``, ``ES-202612``); `None` is no price on that side.

        Raises:
            DataError: If the gateway has no such instrument, or a price or size is not one.
        """
        inner = self._gateway.inner
        self._gateway.call(lambda: inner.quote(symbol, bid, ask, bid_size=bid_size, ask_size=ask_size))

    def trade(self, symbol: str, price: float, size: float = 100.0) -> None:
        """Let a trade of others happen.

        Raises:
            DataError: If the gateway has no such instrument, or price or size is not positive.
        """
        self._gateway.call(lambda: self._gateway.inner.trade(symbol, price, size))

    def halt(self, symbol: str) -> None:
        """Stop trading of an instrument until `resume`: clients see tick 49, no quote, and nothing fills."""
        self._gateway.call(lambda: self._gateway.inner.tape.halt(symbol))

    def resume(self, symbol: str) -> None:
        """Let it trade again."""
        self._gateway.call(lambda: self._gateway.inner.tape.resume(symbol))
