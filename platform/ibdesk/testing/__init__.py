"""The pytest plug-in: a simulated TWS for every test, with a market whose prices the test sets.

It is active as soon as ibdesk is installed; no import is needed. Ten lines test a program as it is::

    import asyncio
    from ib_async import IB, LimitOrder, Stock


    async def buy(port):  # the program: it knows nothing of the test
        with await IB().connectAsync("127.0.0.1", port) as ib:
            [aapl] = await ib.qualifyContractsAsync(Stock("AAPL", "SMART", "USD"))
            ib.placeOrder(aapl, LimitOrder("BUY", 9, 99.50))


    def test_it_buys_when_the_price_falls(gateway, market):
        asyncio.run(buy(gateway.port))
        market.quote("AAPL", bid=99.48, ask=99.50)
        assert gateway.wait_for_order(status="Filled").average_price == 99.50

Fixtures: `gateway` (see `ibdesk.testing.gateway.RunningGateway`), `market` (`ibdesk.testing.market.MarketHand`),
`faults` (`ibdesk.gateway.Faults`) and `desk` (`ibdesk.Desk`). Each test has its own, on a free port of 127.0.0.1, and
they end with the test in every case. A fixture of the same name in a conftest.py replaces ours.

The market stands still at known prices (`ibdesk.testing.gateway.PRICES`) until the test moves it. A marker sets another
market, a clock that the test steps, and every other option of `ibdesk.gateway.Gateway`::

    @pytest.mark.gateway(clock="stepped", cash=50_000, market=MarketScript().quote("AAPL", 100.00, 100.02, at=0))
    def test_of_an_hour(gateway):
        gateway.advance(3600)
"""
