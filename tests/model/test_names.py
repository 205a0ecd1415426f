"""Names of instruments: every spelling leads to one instrument, and every id leads back."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from ibdesk.errors import InstrumentError, UnlistedFutureError
from ibdesk.model import (
    AnyInstrument,
    Combination,
    Forex,
    Future,
    Index,
    Option,
    Right,
    Stock,
    instrument_of,
)
from ibdesk.model.currencies import CURRENCIES
from ibdesk.model.future_roots import MONTH_CODES, ROOTS, roots_called
from ibdesk.model.listings import BY_SUFFIX


@pytest.mark.parametrize(
    ("names", "instrument"),
    [
        ("AAPL|aapl| AAPL |AAPL.US|aapl.us", Stock("AAPL")),
        ("GOOG.US", Stock("GOOG")),
        ("BRK-B.US|BRK.B.US", Stock("BRK B")),
        ("BRK.B|BRK-B|BRK B|brk.b|BRK/B", Stock("BRK B")),
        ("BF.B|BF-B|bf b", Stock("BF B")),
        ("RDS.A|RDS-A", Stock("RDS A")),
        ("BAC-PL|BAC.PRL|BAC PR L|BAC PRL|BAC-PRL|BAC^L", Stock("BAC PRL")),
        ("XYZ.WS|XYZ-WT", Stock("XYZ WS")),
        ("MKC-V|MKC V|MKC.V@SMART", Stock("MKC V")),
        ("IBM@NYSE|ibm@nyse", Stock("IBM", exchange="NYSE")),
        ("SAP.DE|sap.de|SAP@IBIS", Stock("SAP", exchange="IBIS", currency="EUR")),
        ("7203.T|7203@TSEJ", Stock("7203", exchange="TSEJ", currency="JPY")),
        ("VOD.L", Stock("VOD", exchange="LSE", currency="GBP")),
        ("BP.L", Stock("BP.", exchange="LSE", currency="GBP")),
        ("BT-A.L", Stock("BT.A", exchange="LSE", currency="GBP")),
        ("RCI-B.TO", Stock("RCI.B", exchange="TSE", currency="CAD")),
        ("MC.PA", Stock("MC", exchange="SBF", currency="EUR")),
        ("ASML.AS", Stock("ASML", exchange="AEB", currency="EUR")),
        ("0700.HK", Stock("700", exchange="SEHK", currency="HKD")),
        ("BHP.AX", Stock("BHP", exchange="ASX", currency="AUD")),
        ("EUR.USD|eur.usd|EURUSD|EUR/USD|EUR-USD|EUR USD|EURUSD=X", Forex("EUR", currency="USD")),
        ("USD.JPY|JPY=X|USDJPY=X", Forex("USD", currency="JPY")),
        ("ES-202403|es-202403|ESH24|ESH2024|ES 202403", Future("ES", expiry="202403")),
        ("es-20261218", Future("ES", expiry="20261218")),
        ("SIL-202405|SILK24", Future("SI", expiry="202405", multiplier=1000.0)),
        ("6E-202403|6EH24|EUR-202403", Future("6E", expiry="202403")),
        (
            "AAPL-20240119-C-190|AAPL  240119C00190000|AAPL240119C00190000",
            Option("AAPL", expiry="20240119", right=Right.CALL, strike=190.0),
        ),
        ("spy-20261218-p-512.5", Option("SPY", expiry="20261218", right=Right.PUT, strike=512.5)),
        (
            "SPXW  240119P04500000|SPXW-20240119-P-4500",
            Option("SPX", expiry="20240119", right=Right.PUT, strike=4500.0, trading_class="SPXW"),
        ),
        ("SPX-IND|^GSPC|^SPX", Index("SPX")),
        ("^NDX|NDX-IND", Index("NDX", exchange="NASDAQ")),
    ],
)
def test_every_spelling_stands_for_one_instrument(names: str, instrument: AnyInstrument) -> None:
    assert {instrument_of(name) for name in names.split("|")} == {instrument}


@pytest.mark.parametrize(
    ("name", "question"),
    [
        ("ES=F", "ES=F is a series of contracts put together: name one of them, as ES-202503"),
        ("ESH4", "ESH4 can be ES-201403 or ES-202403 or ES-203403: write one of them, or give near_year"),
        ("SPX", "SPX is an index: write SPX-IND, or SPX@SMART if you mean a share"),
        ("ndx", "NDX is an index: write NDX-IND"),
        ("VIX", "VIX is an index: write VIX-IND"),
        ("RUT", "write RUT-IND"),
        ("DJX", "write DJX-IND"),
        ("XSP", "write XSP-IND"),
        ("GSPC", "GSPC is an index: write SPX-IND"),
        ("XAUUSD", "XAU is a metal, which IB lists as a commodity (CMDTY) and not as a currency"),
        ("xag.usd", "XAG is a metal"),
        ("XAU/EUR", "XAU is a metal"),
        ("XAU.USD@IDEALPRO", "XAU is a metal"),
        ("XPTUSD=X", "XPT is a metal"),
        ("MKC.V", "write MKC-V or MKC@VENTURE"),
        ("AAPL.T", "write AAPL-T or AAPL@TSEJ"),
        ("IBM.N", "write IBM-N or IBM"),
        ("DAX-202403", "DAX can be FDAX (25) or FDXM (5) or FDXS (1)"),
        ("XYZ-202403", "XYZ is not in the table of known futures: give its exchange and multiplier and tick_size"),
        ("AAPL1 240119C00190000", "AAPL1 is an adjusted class"),
        ("^FOO", "write IB's symbol and exchange, as FOO-IND@CBOE"),
        ("SAP@NOWHERE", "give the currency too, as SAP@NOWHERE_EUR"),
    ],
)
def test_a_name_that_leaves_something_open_is_asked_about(name: str, question: str) -> None:
    with pytest.raises(InstrumentError, match=re.escape(question)):
        instrument_of(name)


@pytest.mark.parametrize(
    "name", ["", "   ", ".", "AAPL!", "ES-", "-202612", "AAPL-20261218-X-250", "AAPL-20261218-C-.", "BTC-USD", "Ünder"]
)
def test_a_name_of_no_form_is_refused_with_the_forms_there_are(name: str) -> None:
    with pytest.raises(InstrumentError, match=r"write AAPL, BRK.B, SAP.DE, EUR.USD, ES-202612 or AAPL-20261218-C-250"):
        instrument_of(name)


def test_one_digit_of_a_year_means_the_nearest() -> None:
    months = [instrument_of("ESH4", near_year=year).id for year in (2018, 2019, 2024, 2028, 2029)]

    assert months == ["ES-201403", "ES-202403", "ES-202403", "ES-202403", "ES-203403"]


@pytest.mark.parametrize(
    ("name", "terms"),
    [
        # symbol at IB, exchange, multiplier, tick size; one tick of each is worth what its exchange says it is.
        ("CL-202403", ("CL", "NYMEX", "USD", 1000, 0.01, 10.00)),
        ("NQ-202403", ("NQ", "CME", "USD", 20, 0.25, 5.00)),
        ("GC-202404", ("GC", "COMEX", "USD", 100, 0.1, 10.00)),
        ("6E-202403", ("EUR", "CME", "USD", 125_000, 0.00005, 6.25)),
        ("6J-202403", ("JPY", "CME", "USD", 12_500_000, 0.0000005, 6.25)),
        ("ZN-202403", ("ZN", "CBOT", "USD", 1000, 1 / 64, 15.625)),
        ("ZB-202403", ("ZB", "CBOT", "USD", 1000, 1 / 32, 31.25)),
        ("ZT-202403", ("ZT", "CBOT", "USD", 2000, 1 / 256, 7.8125)),
        ("ZC-202403", ("ZC", "CBOT", "USD", 50, 0.25, 12.50)),
        ("SI-202405", ("SI", "COMEX", "USD", 5000, 0.005, 25.00)),
        ("SIL-202405", ("SI", "COMEX", "USD", 1000, 0.005, 5.00)),
        ("HG-202405", ("HG", "COMEX", "USD", 25_000, 0.0005, 12.50)),
        ("NG-202405", ("NG", "NYMEX", "USD", 10_000, 0.001, 10.00)),
        ("RB-202405", ("RB", "NYMEX", "USD", 42_000, 0.0001, 4.20)),
        ("MCL-202405", ("MCL", "NYMEX", "USD", 100, 0.01, 1.00)),
        ("MES-202403", ("MES", "CME", "USD", 5, 0.25, 1.25)),
        ("M2K-202403", ("M2K", "CME", "USD", 5, 0.1, 0.50)),
        ("RTY-202403", ("RTY", "CME", "USD", 50, 0.1, 5.00)),
        ("LE-202404", ("LE", "CME", "USD", 400, 0.025, 10.00)),
        ("VX-202403", ("VIX", "CFE", "USD", 1000, 0.05, 50.00)),
        ("FESX-202403", ("ESTX50", "EUREX", "EUR", 10, 1.0, 10.00)),
        ("FDAX-202403", ("DAX", "EUREX", "EUR", 25, 1.0, 25.00)),
        ("FGBL-202403", ("GBL", "EUREX", "EUR", 1000, 0.01, 10.00)),
        ("Z-202403", ("Z", "ICEEU", "GBP", 10, 0.5, 5.00)),
        ("KC-202403", ("KC", "NYBOT", "USD", 375, 0.05, 18.75)),
    ],
)
def test_the_usual_futures_have_their_own_terms(name: str, terms: tuple[str, str, str, float, float, float]) -> None:
    future = instrument_of(name)

    found = (future.symbol, future.exchange, future.currency, future.multiplier, future.tick_size)
    assert found == terms[:5]
    assert future.multiplier * future.tick_size == pytest.approx(terms[5])


@pytest.mark.parametrize("root", ROOTS)
def test_each_root_of_the_table_is_found_by_its_code_and_complete(root: str) -> None:
    month = ROOTS[root].month_numbers[0]
    future = instrument_of(f"{root}{MONTH_CODES[month - 1]}24")

    assert isinstance(future, Future)
    assert (future.id, future.trading_class) == (f"{root}-2024{month:02d}", root)
    assert future == instrument_of(f"{root}-2024{month:02d}")
    assert future.session.zone
    assert ROOTS[root].source


def test_a_future_that_is_not_in_the_table_takes_the_terms_it_is_given_and_no_others() -> None:
    with pytest.raises(InstrumentError, match="give its multiplier and tick_size"):
        Future("XYZ", expiry="202403", exchange="NYMEX")
    with pytest.raises(InstrumentError, match="give its exchange and tick_size"):
        Future("ES", expiry="202403", multiplier=7.0)

    own = Future("XYZ", expiry="202403", exchange="NYMEX", multiplier=10.0, tick_size=0.5)

    assert (own.id, own.currency) == ("XYZ-202403@NYMEX_USD_10", "USD")


@pytest.mark.parametrize(
    ("symbol", "terms", "sentence"),
    [
        ("CL", {"exchange": "CME"}, "CL is a known future at NYMEX in USD with multiplier 1000, not with exchange CME"),
        ("cl", {"exchange": "cme"}, "CL is a known future at NYMEX in USD with multiplier 1000, not with exchange CME"),
        ("ES", {"currency": "EUR"}, "ES is a known future at CME in USD with multiplier 50, not with currency EUR"),
        (
            "SI",
            {"multiplier": 7.0},
            "SI is a known future at COMEX in USD with multiplier 5000 or 1000, not with multiplier 7",
        ),
    ],
)
def test_terms_that_differ_from_the_table_are_told_apart(symbol: str, terms: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UnlistedFutureError, match=re.escape(sentence)) as told:
        Future(symbol, expiry="202403", **terms)
    assert "leave that out, or give its " in str(told.value)


def test_the_symbol_and_exchange_of_a_future_have_any_case() -> None:
    assert Future("cl", expiry="202403", exchange="nymex") == Future("CL", expiry="202403")
    assert Future("xyz", expiry="202403", exchange="X", multiplier=1.0, tick_size=1.0).symbol == "XYZ"


@pytest.mark.parametrize("name", ["CL-202403", "cl-202403", "CLH24", "CLH4"])
def test_a_whole_name_as_a_symbol_gets_a_hint(name: str) -> None:
    with pytest.raises(InstrumentError, match=re.escape(f"write instrument_of({name.upper()!r}), or give expiry=")):
        Future(name)


def test_other_whole_names_as_symbols_get_a_hint() -> None:
    with pytest.raises(InstrumentError, match=re.escape("write instrument_of('AAPL-20261218-C-250'), or give expiry=")):
        Option("AAPL-20261218-C-250")
    for pair in ("EURUSD", "EUR.USD"):
        with pytest.raises(InstrumentError, match=re.escape("write instrument_of('EUR.USD')")):
            Forex(pair)
    with pytest.raises(InstrumentError, match="XAU is a metal"):
        Forex("XAU", currency="USD")


@pytest.mark.parametrize("symbol", ["SPX", "VIX", "XAUUSD", "AAPL"])
def test_a_share_that_is_meant_stays_a_share(symbol: str) -> None:
    assert instrument_of(f"{symbol}@SMART") == instrument_of(Stock(symbol).id) == Stock(symbol)


def test_hours_lots_and_steps_are_those_of_the_exchange() -> None:
    toyota, tencent = instrument_of("7203.T"), instrument_of("700.HK")

    assert (toyota.session.zone, toyota.session.opens, toyota.size_increment) == ("Asia/Tokyo", 540, 100)
    assert [tencent.tick_at(price) for price in (0.2, 9.99, 10, 99, 350)] == [0.001, 0.01, 0.02, 0.05, 0.2]
    assert instrument_of("VX-202403").session.zone == "America/Chicago"


# ---- laws ------------------------------------------------------------------------------------------------------------

tickers = st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789", min_size=1, max_size=6)
classes = st.sampled_from(["", "", " A", " B", " V", " T", " PRA", " PR", " WS", " U"])
venues = st.sampled_from(
    [
        *(("SMART", "USD"), ("SMART", "EUR"), ("NYSE", "USD"), ("NASDAQ", "USD"), ("CBOE", "USD"), ("IBIS", "EUR")),
        *(("IBIS", "USD"), ("LSE", "GBP"), ("LSE", "USD"), ("TSEJ", "JPY"), ("ENEXT.BE", "EUR"), ("EUREX", "EUR")),
    ]
)
expiries = st.dates().map(lambda day: f"{day:%Y%m%d}").filter(lambda text: len(text) == 8)
figures = st.one_of(
    st.integers(1, 10**9).map(float),
    st.integers(1, 10**9).map(lambda count: count / 1000),
    st.floats(1e-9, 1e15, allow_nan=False),
)


def stock(ticker: str, share_class: str, venue: tuple[str, str]) -> Stock:
    return Stock(ticker + share_class, exchange=venue[0], currency=venue[1])


def future(symbol: str, venue: tuple[str, str], multiplier: float, expiry: str, trading_class: str) -> Future:
    # The tick is no part of a name: that of a root of the table is the table's.
    usual = any(
        (root.exchange, root.currency, root.multiplier) == (*venue, multiplier)
        and trading_class in ("", root.trading_class)
        for root in roots_called(symbol)
    )
    return Future(
        symbol, exchange=venue[0], currency=venue[1], multiplier=multiplier, tick_size=0.0 if usual else 0.01,
        expiry=expiry, trading_class=trading_class,
    )  # fmt: skip


def option(
    symbol: str, venue: tuple[str, str], multiplier: float, expiry: str, strike: float, right: Right, traded_as: str
) -> Option:
    return Option(
        symbol, exchange=venue[0], currency=venue[1], multiplier=multiplier, expiry=expiry, strike=strike, right=right,
        trading_class=traded_as,
    )  # fmt: skip


roots = st.sampled_from(sorted(ROOTS)).map(lambda root: Future(root, expiry="202403"))
instruments = st.one_of(
    st.builds(stock, tickers, classes, venues),
    st.sampled_from(sorted(BY_SUFFIX)).map(
        lambda suffix: Stock("ABC", exchange=BY_SUFFIX[suffix].exchange, currency=BY_SUFFIX[suffix].currency)
    ),
    st.builds(Forex, st.sampled_from(sorted(CURRENCIES)), currency=st.sampled_from(sorted(CURRENCIES))).filter(
        lambda pair: pair.symbol != pair.currency
    ),
    roots,
    st.builds(
        future, st.sampled_from(["ES", "SI", "XYZ", "DAX"]), venues, figures, expiries, st.sampled_from(["", "SIL"])
    ),
    st.builds(
        option,
        st.sampled_from(["AAPL", "BRK B", "SPX", "SPXW"]),
        venues,
        st.one_of(st.just(100.0), figures),
        expiries,
        figures,
        st.sampled_from(Right),
        st.sampled_from(["", "SPX", "SPXW", "AAPL1"]),
    ),
    st.builds(lambda symbol, venue: Index(symbol, exchange=venue[0], currency=venue[1]), tickers, venues),
    st.sampled_from(["SPX", "DAX", "NDX"]).map(Index),
)


@example(future("DAX", ("EUREX", "EUR"), 1.0, "20000101", ""))
@example(future("DAX", ("EUREX", "EUR"), 1.0, "20000101", "SIL"))
@given(instruments)
def test_the_id_of_an_instrument_names_it_again(instrument: AnyInstrument) -> None:
    assert instrument_of(instrument.id) == instrument


@given(instruments, instruments)
def test_two_instruments_share_an_id_only_if_they_are_one(one: AnyInstrument, other: AnyInstrument) -> None:
    assume(one != other)

    assert one.id != other.id


@given(instruments)
def test_an_id_needs_no_quoting_in_a_file_name_or_an_address(instrument: AnyInstrument) -> None:
    assert re.fullmatch(r"[A-Za-z0-9.@_~\-]+", instrument.id)


@given(st.text(max_size=40))
def test_any_text_names_an_instrument_or_is_refused(text: str) -> None:
    try:
        found = instrument_of(text)
    except InstrumentError:
        return
    assert instrument_of(found.id) == found


@given(st.text("ABCEHRSTLV0123456789.-@_/^= \t~", max_size=24))
def test_any_text_of_the_letters_of_names_is_read_or_refused(text: str) -> None:
    try:
        found = instrument_of(text)
    except InstrumentError:
        return
    assert instrument_of(found.id) == found


@pytest.mark.parametrize(
    "instruments",
    [
        [Stock("SAP"), Stock("SAP", exchange="IBIS", currency="EUR"), Stock("SAP", exchange="FWB", currency="EUR")],
        [Future("SI", expiry="202405"), Future("SIL", expiry="202405")],
        [
            Option("SPX", expiry="20240119", strike=4500.0),
            Option("SPX", expiry="20240119", strike=4500.0, trading_class="SPX"),
            Option("SPX", expiry="20240119", strike=4500.0, trading_class="SPXW"),
        ],
        [Stock("VIX"), Index("VIX"), Future("VX", expiry="202405")],
        [Stock("EURUSD"), Forex("EUR", currency="USD"), Stock("EUR USD")],
        [Stock("ESH4"), Future("ES", expiry="202403")],
    ],
)
def test_ids_carry_what_tells_instruments_apart(instruments: list[AnyInstrument]) -> None:
    assert len({each.id for each in instruments}) == len(instruments)


def test_a_combination_is_named_by_its_legs() -> None:
    assert Combination("BAG:+1x1,-1x2").id == "BAG:+1x1,-1x2"
