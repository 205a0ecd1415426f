"""The pytest plug-in: a TWS of your own in every test, with a market whose prices the test states.

It is there as soon as ibdesk is installed; nothing has to be imported. Ten lines test a program as it is::

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
they end with the test, however it ends. A fixture of the same name in a conftest.py takes the place of ours.

The market stands still at prices that are known (`ibdesk.testing.gateway.PRICES`) until the test moves it. Another
market, a clock that the test steps, and all that `ibdesk.gateway.Gateway` can be told are said by a marker::

    @pytest.mark.gateway(clock="stepped", cash=50_000, market=MarketScript().quote("AAPL", 100.00, 100.02, at=0))
    def test_of_an_hour(gateway):
        gateway.advance(3600)
"""
