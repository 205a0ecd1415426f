"""Contracts and reference data as clients find them."""

from __future__ import annotations

import pytest


async def test_a_share_is_one_contract(ib, client) -> None:
    [details] = await client.reqContractDetailsAsync(ib.Stock("AAPL", "SMART", "USD"))

    contract = details.contract
    assert (contract.conId, contract.symbol, contract.secType, contract.currency) == (265598, "AAPL", "STK", "USD")
    assert (contract.exchange, contract.primaryExchange, contract.tradingClass) == ("SMART", "NASDAQ", "NMS")
    assert (details.longName, details.stockType, details.minTick, details.timeZoneId) == (
        "APPLE INC",
        "COMMON",
        0.01,
        "US/Eastern",
    )
    # The gateway trades day and night, and says so.
    assert "20260413:0000-20260414:0000" in details.liquidHours.split(";")


async def test_a_contract_is_found_by_its_id_alone(ib, client) -> None:
    [details] = await client.reqContractDetailsAsync(ib.Contract(conId=265598))

    assert (details.contract.symbol, details.contract.exchange) == ("AAPL", "SMART")


async def test_a_currency_pair_is_one_contract(ib, client) -> None:
    [pair] = await client.qualifyContractsAsync(ib.Forex("EURUSD"))

    assert (pair.conId, pair.symbol, pair.currency, pair.exchange) == (12087792, "EUR", "USD", "IDEALPRO")
    assert pair.localSymbol == "EUR.USD"


async def test_a_month_of_a_future_is_one_contract(ib, client) -> None:
    [details] = await client.reqContractDetailsAsync(ib.Future("ES", "202606", "CME"))

    # The third Friday of June 2026 is the 19th.
    assert (details.contract.multiplier, details.minTick, details.contract.localSymbol) == ("50", 0.25, "ESM6")
    assert details.contract.lastTradeDateOrContractMonth == "20260618"
    assert "20260413:0000-20260414:0000" in details.tradingHours.split(";")


async def test_an_index_is_one_contract(ib, client) -> None:
    [index] = await client.qualifyContractsAsync(ib.Index("SPX", "CBOE", "USD"))

    assert index.conId == 416904


async def test_the_details_of_an_ambiguous_description_are_all_that_fit(ib, client) -> None:
    several = await client.reqContractDetailsAsync(ib.Future("ES", exchange="CME"))

    expiries = [details.contract.lastTradeDateOrContractMonth for details in several]
    assert expiries[:2] == ["20260618", "20260918"]
    assert expiries == sorted(set(expiries))


async def test_a_request_for_an_ambiguous_contract_is_error_200(ib, client, announced, errors) -> None:
    announced.add(200)

    bars = await client.reqHistoricalDataAsync(ib.Future("ES", exchange="CME"), "", "60 S", "5 secs", "TRADES", False)

    assert list(bars) == []
    assert errors[-1][1:] == (200, "The contract description specified for ES is ambiguous.")


async def test_an_unknown_symbol_is_error_200(ib, client, announced, errors) -> None:
    announced.add(200)

    assert await client.reqContractDetailsAsync(ib.Stock("NOSUCHONE", "SMART", "USD")) == []
    assert errors[-1][1:] == (200, "No security definition has been found for the request")


async def test_symbols_are_found_by_their_beginning_and_by_name(client) -> None:
    by_symbol = await client.reqMatchingSymbolsAsync("AAPL")
    by_name = await client.reqMatchingSymbolsAsync("microsoft")

    assert [found.contract.symbol for found in by_symbol] == ["AAPL"]
    assert [(found.contract.symbol, found.contract.conId) for found in by_name] == [("MSFT", 272093)]
    assert "OPT" in by_symbol[0].derivativeSecTypes


async def test_the_parameters_of_options_lead_to_their_contracts(ib, client, aapl) -> None:
    chains = await client.reqSecDefOptParamsAsync("AAPL", "", "STK", aapl.conId)

    [chain] = [chain for chain in chains if chain.exchange == "SMART"]
    assert (chain.underlyingConId, chain.tradingClass, chain.multiplier) == ("265598", "AAPL", "100") or (
        chain.underlyingConId,
        chain.tradingClass,
        chain.multiplier,
    ) == (265598, "AAPL", "100")
    expiry, strike = sorted(chain.expirations)[0], 100.0
    assert strike in chain.strikes
    option = ib.Option("AAPL", expiry, strike, "C", "SMART", currency="USD")
    [details] = await client.reqContractDetailsAsync(option)
    found = details.contract
    assert (found.lastTradeDateOrContractMonth, found.strike, found.right) == (expiry, strike, "C")
    assert (found.multiplier, details.underConId) == ("100", 265598)


async def test_a_side_of_a_chain_is_found_by_an_open_description(ib, client) -> None:
    [chain, *_] = await client.reqSecDefOptParamsAsync("AAPL", "", "STK", 265598)
    expiry = sorted(chain.expirations)[0]

    calls = await client.reqContractDetailsAsync(ib.Option("AAPL", expiry, right="C", exchange="SMART"))

    assert len(calls) > 1
    assert {details.contract.right for details in calls} == {"C"}
    assert {details.contract.strike for details in calls} <= set(chain.strikes)


async def test_prices_of_shares_move_by_cents_and_by_less_below_a_dollar(ib, client) -> None:
    [details] = await client.reqContractDetailsAsync(ib.Stock("AAPL", "SMART", "USD"))
    rule = int(details.marketRuleIds.split(",")[0])

    steps = [(step.lowEdge, step.increment) for step in await client.reqMarketRuleAsync(rule)]
    assert steps == [(0.0, 0.0001), (1.0, 0.01)]


async def test_the_venues_behind_smart_have_letters(client) -> None:
    components = await client.reqSmartComponentsAsync("9c0001")

    assert {component.exchangeLetter for component in components if component.exchange == "IEX"} == {"V"}
    assert [component.bitNumber for component in components] == sorted(
        {component.bitNumber for component in components}
    )


async def test_the_venues_that_show_depth_are_listed(client) -> None:
    described = await client.reqMktDepthExchangesAsync()

    assert {each.secType for each in described} >= {"STK"}
    assert "IEX" in {each.exchange for each in described}


async def test_an_account_without_a_family_has_the_empty_code(client, raw, until) -> None:
    heard = raw(client, 78)

    client.client.reqFamilyCodes()
    await until(client, lambda: heard)

    # the number of codes, an account, its code
    assert heard == [["1", "*", ""]]


async def test_a_private_user_has_no_branding(client) -> None:
    assert not await client.reqUserInfoAsync()


async def test_without_news_subscriptions_there_are_no_providers(client) -> None:
    assert await client.reqNewsProvidersAsync() == []


async def test_articles_are_not_allowed_without_a_subscription(client, announced, errors) -> None:
    announced.add(10276)

    await client.reqNewsArticleAsync("BZ", "BZ$12345")

    assert errors[-1][1:] == (10276, "News is not allowed.")


async def test_old_headlines_are_not_allowed_without_a_subscription(client, announced, errors) -> None:
    announced.add(10276)

    await client.reqHistoricalNewsAsync(265598, "BZ", "", "", 10)

    assert errors[-1][1:] == (10276, "News is not allowed.")


async def test_news_bulletins_may_be_requested_and_are_empty(client) -> None:
    client.reqNewsBulletins(True)
    await client.reqCurrentTimeAsync()
    client.cancelNewsBulletins()
    await client.reqCurrentTimeAsync()

    assert client.newsBulletins() == []


async def test_a_scanner_has_parameters_and_finds_nothing(ib, client, announced, errors) -> None:
    announced.update((162, 165))
    assert "<ScanParameterResponse" in await client.reqScannerParametersAsync()

    found = await client.reqScannerDataAsync(
        ib.ScannerSubscription(instrument="STK", locationCode="STK.US.MAJOR", scanCode="TOP_PERC_GAIN")
    )

    assert list(found) == []


@pytest.mark.parametrize("kind", ["ReportSnapshot"])
async def test_fundamentals_are_refused(client, aapl, announced, errors, kind: str) -> None:
    announced.update((430, 321, 10358))

    client.client.reqFundamentalData(77, aapl, kind, [])
    await client.reqCurrentTimeAsync()

    assert [error[0] for error in errors if error[0] != -1] == [77]
