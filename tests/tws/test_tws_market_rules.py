"""Market rules are requested once, kept with the instrument, and decide how its prices are rounded."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

import pytest

from ibdesk.errors import InstrumentError
from ibdesk.model import Future, Stock, instrument_of
from ibdesk.model.price_grid import US_SHARE_INCREMENTS

ASKS_FOR_RULE = 91


async def test_a_rule_is_asked_for_once_however_many_instruments_have_it(
    script: Any, start_tws: Callable[..., Any]
) -> None:
    running = await start_tws(script.port)

    qualified = [await running.service.qualify(Stock(symbol)) for symbol in ("AAPL", "MSFT", "AAPL")]

    assert script.of(ASKS_FOR_RULE) == [["91", "26"]]
    # By the rule, these shares move by a cent at any price.
    assert {each.price_increments for each in qualified} == {((0.0, 0.01),)}


async def test_where_no_answer_comes_the_tick_size_decides(script: Any, start_tws: Callable[..., Any]) -> None:
    script.silent.add("91")
    running = await start_tws(script.port, request_timeout_seconds=0.2)

    apple = await running.service.qualify(Stock("AAPL"))

    assert apple.increments == ((0.0, 0.01),)


async def test_the_gateway_s_rules_reach_the_instrument(tws: Any, gateway: Any) -> None:
    apple = await tws.service.qualify(Stock("AAPL"))
    index = await tws.service.qualify(instrument_of("SPX-IND"))
    friday = dt.date(2026, 11, 27)
    option = await tws.service.qualify(instrument_of(f"SPXW-{friday:%Y%m%d}-C-5900"))

    assert apple.increments == US_SHARE_INCREMENTS
    assert index.id == "SPX-IND"
    assert option.increments == ((0.0, 0.05), (3.0, 0.1))
    assert (option.id, option.size_increment) == ("SPXW-20261127-C-5900", 1)


async def test_an_option_may_be_named_without_its_class_where_there_is_one(tws: Any) -> None:
    weekly = await tws.service.qualify(instrument_of("SPX-20261127-C-5900"))

    assert weekly.id == "SPX-20261127-C-5900"


async def test_exchange_and_terms_of_an_unlisted_future_come_from_tws(tws: Any) -> None:
    front = await tws.service.qualify_unlisted("ES", "202612")

    assert isinstance(front, Future)
    assert (front.exchange, front.multiplier, front.tick_size) == ("CME", 50, 0.25)
    with pytest.raises(InstrumentError, match="TWS knows no future XYZ-202612"):
        await tws.service.qualify_unlisted("XYZ", "202612")


@pytest.mark.parametrize("name", ["CL-202702", "NQ-202612", "GC-202702", "ZN-202612"])
async def test_the_terms_of_the_table_are_those_of_tws(tws: Any, name: str) -> None:
    shipped = instrument_of(name)

    told = await tws.service.qualify(shipped)

    assert (told.id, told.multiplier, told.tick_size) == (name, shipped.multiplier, shipped.tick_size)
    assert told.increments == shipped.increments


async def test_one_symbol_in_two_currencies_is_two_instruments(tws: Any) -> None:
    in_dollars = await tws.service.qualify(instrument_of("SAP"))
    in_euros = await tws.service.qualify(instrument_of("SAP.DE"))

    assert (in_dollars.id, in_dollars.currency) == ("SAP", "USD")
    assert (in_euros.id, in_euros.currency, in_euros.tick_size) == ("SAP@IBIS", "EUR", 0.02)


async def test_every_spelling_of_a_share_class_is_one_contract(tws: Any) -> None:
    ids = {(await tws.service.qualify(instrument_of(name))).id for name in ("BRK.B", "BRK-B", "BRK B", "brk/b")}

    assert ids == {"BRK.B"}
