"""IBKR's own client requests contracts."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.gateway.clients.official.conftest import MakeContract, Official


def test_a_contract_that_is_one_has_one_set_of_details(client: Official, contract: MakeContract) -> None:
    [told, _] = client.ask(lambda: client.api.reqContractDetails(7, contract("AAPL")), "contractDetailsEnd")

    details = told["contractDetails"]
    assert (told["reqId"], details.contract.conId, details.contract.primaryExchange) == (7, 265598, "NASDAQ")
    assert (details.longName, details.marketName, details.minTick) == ("APPLE INC", "NMS", 0.01)
    assert (details.timeZoneId, details.stockType) == ("US/Eastern", "COMMON")
    assert details.contract.strike == 0
    assert (float(details.minSize), float(details.sizeIncrement)) == (0.0001, 0.0001)
    # The gateway trades day and night, and says so.
    assert "20260413:0000-20260414:0000" in details.liquidHours.split(";")


def test_a_description_that_fits_several_contracts_has_as_many_details(
    client: Official, contract: MakeContract
) -> None:
    *told, _ = client.ask(
        lambda: client.api.reqContractDetails(7, contract("ES", "FUT", "CME")), "contractDetailsEnd", reqId=7
    )

    found = [call["contractDetails"].contract for call in told]
    # The quarters from June 2026 on, each to its third Friday.
    months = [each.lastTradeDateOrContractMonth for each in found]
    assert [month[:6] for month in months[:3]] == ["202606", "202609", "202612"]
    assert months[1:3] == ["20260918", "20261218"]
    assert {(each.symbol, each.multiplier, each.exchange) for each in found} == {("ES", "50", "CME")}
    assert len({each.conId for each in found}) == len(found)


def test_where_one_contract_is_needed_an_ambiguous_description_is_error_200(
    client: Official, contract: MakeContract
) -> None:
    error = client.error_of(
        lambda: client.api.reqMktData(8, contract("ES", "FUT", "CME"), "", False, False, []), request_id=8
    )

    assert error == (200, "The contract description specified for ES is ambiguous.")


def test_an_unknown_contract_is_error_200(client: Official, contract: MakeContract) -> None:
    error = client.error_of(lambda: client.api.reqContractDetails(7, contract("NO SUCH")), request_id=7)

    assert error == (200, "No security definition has been found for the request")


def test_a_contract_is_found_by_its_id_alone(client: Official, contract: MakeContract) -> None:
    [told, _] = client.ask(
        lambda: client.api.reqContractDetails(7, contract("", "", "", conId=265598, currency="")), "contractDetailsEnd"
    )

    assert told["contractDetails"].contract.symbol == "AAPL"


def test_symbols_are_found_by_their_beginning(client: Official) -> None:
    [told] = client.ask(lambda: client.api.reqMatchingSymbols(9, "AAPL"), "symbolSamples")

    first = told["contractDescriptions"][0]
    assert (first.contract.symbol, first.contract.secType, first.contract.primaryExchange, first.contract.currency) == (
        "AAPL",
        "STK",
        "NASDAQ",
        "USD",
    )
    assert "OPT" in first.derivativeSecTypes


def test_the_options_on_a_share_are_sent_by_expiry_and_strike(client: Official) -> None:
    *chains, _ = client.ask(
        lambda: client.api.reqSecDefOptParams(10, "AAPL", "", "STK", 265598), "securityDefinitionOptionParameterEnd"
    )

    smart = next(chain for chain in chains if chain["exchange"] == "SMART")
    assert (smart["underlyingConId"], smart["tradingClass"], smart["multiplier"]) == (265598, "AAPL", "100")
    assert min(smart["expirations"]) >= "20260413"
    # The chain lies around the price of 100.
    assert min(smart["strikes"]) < 100 < max(smart["strikes"])


def test_an_option_of_the_chain_has_details(client: Official, contract: MakeContract) -> None:
    chain = client.ask(
        lambda: client.api.reqSecDefOptParams(10, "AAPL", "", "STK", 265598), "securityDefinitionOptionParameterEnd"
    )[0]
    expiry, strike = min(chain["expirations"]), min(chain["strikes"])

    option = contract("AAPL", "OPT", "SMART", lastTradeDateOrContractMonth=expiry, strike=strike, right="C")
    [told, _] = client.ask(lambda: client.api.reqContractDetails(11, option), "contractDetailsEnd")

    found = told["contractDetails"].contract
    assert (found.lastTradeDateOrContractMonth, found.strike, found.right, found.multiplier) == (
        expiry,
        strike,
        "C",
        "100",
    )
    assert told["contractDetails"].underConId == 265598


def test_rules_venues_and_components_are_sent(client: Official) -> None:
    api = client.api

    [told] = client.ask(lambda: api.reqMarketRule(26), "marketRule")
    assert [(step.lowEdge, step.increment) for step in told["priceIncrements"]] == [(0, 0.01)]
    [told] = client.ask(lambda: api.reqSmartComponents(3, "9c0001"), "smartComponents")
    assert told["reqId"] == 3
    assert {component.exchangeLetter for component in told["smartComponentMap"]}
    assert client.ask(api.reqMktDepthExchanges, "mktDepthExchanges")


def test_news_and_scanners_get_the_answer_of_an_account_without_them(client: Official) -> None:
    from ibapi.scanner import ScannerSubscription

    api = client.api

    [told] = client.ask(api.reqNewsProviders, "newsProviders")
    assert told["newsProviders"] == []
    assert client.error_of(lambda: api.reqHistoricalNews(4, 265598, "BRFG", "", "", 10, []), request_id=4) == (
        10276,
        "News is not allowed.",
    )
    assert client.error_of(lambda: api.reqNewsArticle(5, "BRFG", "x", []), request_id=5)[0] == 10276
    [told] = client.ask(api.reqScannerParameters, "scannerParameters")
    assert told["xml"].startswith("<?xml")
    assert client.all_of(lambda: api.reqNewsBulletins(True)) == []
    assert client.all_of(api.cancelNewsBulletins) == []
    subscription = ScannerSubscription()
    subscription.instrument, subscription.locationCode, subscription.scanCode = "STK", "STK.US.MAJOR", "TOP_PERC_GAIN"
    answers = client.all_of(lambda: api.reqScannerSubscription(6, subscription, [], []))
    # Nothing fits: the error for that (documented), and a list without rows.
    assert [(call.name, call["reqId"], call.values.get("errorCode")) for call in answers] == [
        ("error", 6, 165),
        ("scannerDataEnd", 6, None),
    ]
    assert client.error_of(lambda: api.cancelScannerSubscription(6), request_id=6)[0] == 162
