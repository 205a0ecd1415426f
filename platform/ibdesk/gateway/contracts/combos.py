"""Combinations (IB's BAG): several contracts that are traded as one, at one net price."""

from __future__ import annotations

from collections.abc import Callable

from ibdesk.gateway.contracts.contract import ContractData, Leg, made_up_id
from ibdesk.gateway.protocol.codec import Fields
from ibdesk.gateway.refusal import invalid, unknown_contract
from ibdesk.model import Combination

MAX_LEGS = 8
_MAX_RATIO = 10_000


def combo(query: Fields, leg_of: Callable[[int], ContractData | None]) -> ContractData:
    """Return the combination of a request's legs; `leg_of` returns the contract of an id.

    A combination of options has their multiplier, any other has 1. Its instrument, named after its legs, represents it
    in orders and quotes; its price may be negative.

    Raises:
        RefusedError: If a leg is unknown (error 200), or there are no legs, too many, or invalid ones (error 321).
    """
    rows = query.rows("comboLegs")
    if not 0 < len(rows) <= MAX_LEGS:
        raise invalid(f"a combination must have 1 to {MAX_LEGS} legs, got {len(rows)}")
    legs = tuple(_leg(Fields("leg", row), leg_of) for row in rows)
    name = "BAG:" + ",".join(f"{leg.signed_ratio:+d}x{leg.contract.con_id}" for leg in legs)
    are_options = all(leg.contract.sec_type == "OPT" for leg in legs)
    first = legs[0].contract
    return ContractData(
        instrument=Combination(
            name,
            currency=first.instrument.currency,
            tick_size=min(leg.contract.instrument.tick_size for leg in legs),
            multiplier=first.instrument.multiplier if are_options else 1.0,
        ),
        con_id=made_up_id(name),
        sec_type="BAG",
        symbol=query.text("symbol") or first.symbol,
        local_symbol=query.text("symbol") or first.symbol,
        trading_class="COMB",
        exchange=query.text("exchange") or "SMART",
        primary_exchange="",
        long_name="",
        trades_as=first.trades_as,
        multiplier="",
        legs=legs,
    )


def _leg(row: Fields, leg_of: Callable[[int], ContractData | None]) -> Leg:
    con_id, ratio, action = row.whole("legConId") or 0, row.whole("ratio") or 0, row.text("legAction")
    if action not in ("BUY", "SELL") or not 0 < ratio <= _MAX_RATIO:
        raise invalid(f"leg {con_id} needs an action BUY or SELL and a ratio from 1 to {_MAX_RATIO}")
    contract = leg_of(con_id)
    if contract is None:
        raise unknown_contract()
    return Leg(contract, ratio, action, row.text("legExchange"))
