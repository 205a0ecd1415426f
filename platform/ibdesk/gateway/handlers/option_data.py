"""Option computations beside the quote: the volatilities and sensitivities behind the prices."""

from __future__ import annotations

import math
from collections.abc import Callable

from ibdesk.gateway.contracts.contract import ContractData
from ibdesk.gateway.contracts.option_quotes import OptionValuation, valuation, valued_at
from ibdesk.gateway.market.instrument_state import InstrumentState, PartialBar
from ibdesk.gateway.market.tape import Tape
from ibdesk.gateway.session import Session
from ibdesk.model import Quote, Tick

# Tick types of option computations (documented): at the bid, at the ask, at the last trade, and of the model.
BID, ASK, LAST, MODEL = 10, 11, 12, 13
UNKNOWN_DIVIDEND = -1
"""TWS's value for an unknown present value of dividends (captured)."""


class Computations:
    """The option computations of one market-data subscription; it watches the option."""

    def __init__(
        self,
        session: Session,
        request_id: int,
        option: ContractData,
        tape: Tape,
    ) -> None:
        self._session = session
        self._id = request_id
        self._option = option
        self._tape = tape

    def begin(self) -> Callable[[], None]:
        """Send the present computations, and every change until the returned function is called."""
        self.show()
        self._tape.watch(self._option.id, self)
        return lambda: self._tape.unwatch(self._option.id, self)

    def show(self) -> None:
        """Send the present computations."""
        quote = self._tape.quote(self._option.id)
        if quote is not None:
            self.on_quote(quote)

    def on_quote(self, quote: Quote) -> None:
        """Send the computations of bid, ask and model at the underlying's present price."""
        spot = self._spot()
        if spot is None:
            return
        for tick_type, price in ((BID, quote.bid), (ASK, quote.ask)):
            if not math.isnan(price):
                self._send(tick_type, price, valued_at(self._option, spot, price, quote.at_ns), spot)
        value = valuation(self._option, spot, quote.at_ns)
        self._send(MODEL, value.greeks.price, value, spot)

    def on_tick(self, tick: Tick) -> None:
        """Send the computation of the trade."""
        spot = self._spot()
        if spot is not None:
            self._send(LAST, tick.price, valued_at(self._option, spot, tick.price, tick.at_ns), spot)

    def on_bar(self, instrument: str, opened_ns: int, bars: dict[str, PartialBar]) -> None:
        """Ignore it: computations are sent with quotes."""

    def on_state(self, state: InstrumentState) -> None:
        """Ignore it: the quote that follows shows the effect."""

    def _spot(self) -> float | None:
        underlying = self._tape.quote(self._option.under_id)
        return underlying.mid if underlying is not None and underlying.mid > 0 else None

    def _send(self, tick_type: int, price: float, found: OptionValuation | None, spot: float) -> None:
        """Send one computation. If a price implies no volatility, TWS sends -1, and -2 for the rest (documented)."""
        greeks = None if found is None else found.greeks
        self._session.send(
            "tickOptionComputation",
            reqId=self._id,
            tickType=tick_type,
            tickAttrib=0,
            impliedVol=-1 if found is None else found.volatility,
            delta=-2 if greeks is None else greeks.delta,
            optPrice=price,
            pvDividend=UNKNOWN_DIVIDEND,
            gamma=-2 if greeks is None else greeks.gamma,
            vega=-2 if greeks is None else greeks.vega,
            theta=-2 if greeks is None else greeks.theta,
            undPrice=spot,
        )
