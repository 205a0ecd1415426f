"""Quotes of combinations: the net of their legs' quotes."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable

from ibdesk.gateway.contracts.contract import ContractData
from ibdesk.model import Quote


def net_quote(combo: ContractData, quote_of: Callable[[str], Quote | None], at_ns: int) -> Quote:
    """Return the quote of a combination: its proceeds when sold now, and its cost when bought now.

    A leg that is bought costs its ask, one that is sold brings its bid; prices may be negative. Sizes are the number of
    combinations that the legs' quotes allow. A side for which a leg has no price is NaN with size zero.
    """
    bid = ask = 0.0
    bid_size = ask_size = math.inf
    for leg in combo.legs:
        quote = quote_of(leg.contract.id)
        if quote is None:
            return Quote(combo.id, at_ns, math.nan, math.nan, 0.0, 0.0)
        sides = ((quote.bid, quote.bid_size), (quote.ask, quote.ask_size))
        (brings, brings_size), (costs, costs_size) = sides if leg.action == "BUY" else sides[::-1]
        bid, ask = bid + leg.signed_ratio * brings, ask + leg.signed_ratio * costs
        bid_size, ask_size = min(bid_size, brings_size // leg.ratio), min(ask_size, costs_size // leg.ratio)
    round_price = combo.instrument.round_price
    return Quote(
        combo.id,
        at_ns,
        bid if math.isnan(bid) else round_price(bid),
        ask if math.isnan(ask) else round_price(ask),
        0.0 if math.isnan(bid) else bid_size,
        0.0 if math.isnan(ask) else ask_size,
    )


class ComboQuotes:
    """Quotes every requested combination whenever one of its legs is quoted.

    `take` plays a quote on the tape; `quote_of` returns the present quote of a leg.
    """

    def __init__(self, take: Callable[[Quote], None], quote_of: Callable[[str], Quote | None]) -> None:
        self._take = take
        self._quote_of = quote_of
        self._combos: dict[str, list[ContractData]] = defaultdict(list)

    def begin(self, combo: ContractData, at_ns: int) -> None:
        """Quote a combination from now on."""
        for leg in {leg.contract.id for leg in combo.legs}:
            self._combos[leg].append(combo)
        self._take(net_quote(combo, self._quote_of, at_ns))

    def on_quote(self, quote: Quote) -> None:
        """Reprice the combinations of an instrument."""
        for combo in self._combos.get(quote.instrument, ()):
            self._take(net_quote(combo, self._quote_of, quote.at_ns))
