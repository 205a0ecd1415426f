"""A test's control of its gateway's market."""

from __future__ import annotations

from ibdesk.testing.gateway import RunningGateway


class MarketHand:
    """Moves the market now: when a method returns, orders have filled and clients are being notified."""

    def __init__(self, gateway: RunningGateway) -> None:
        self._gateway = gateway

    def quote(
        self, symbol: str, bid: float | None, ask: float | None, *, bid_size: float = 100.0, ask_size: float = 100.0
    ) -> None:
        """Quote an instrument (``AAPL``, ``EUR.USD``, ``ES-202612``); `None` means no price on that side.

        Raises:
            DataError: If the gateway has no such instrument, or a price or size is invalid.
        """
        inner = self._gateway.inner
        self._gateway.call(lambda: inner.quote(symbol, bid, ask, bid_size=bid_size, ask_size=ask_size))

    def trade(self, symbol: str, price: float, size: float = 100.0) -> None:
        """Print a trade between others.

        Raises:
            DataError: If the gateway has no such instrument, or price or size is not positive.
        """
        self._gateway.call(lambda: self._gateway.inner.trade(symbol, price, size))

    def halt(self, symbol: str) -> None:
        """Halt trading of an instrument until `resume`: clients receive tick 49 and no quote, and nothing fills."""
        self._gateway.call(lambda: self._gateway.inner.tape.halt(symbol))

    def resume(self, symbol: str) -> None:
        """Resume trading of an instrument."""
        self._gateway.call(lambda: self._gateway.inner.tape.resume(symbol))
