"""The gateway's statement of its accounts: figures worked out by hand, and those that survive a restart."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest

from ibdesk.errors import ConfigError
from ibdesk.testing.gateway import RunningGateway


def statement(gateway: RunningGateway) -> ET.Element:
    root = ET.fromstring(gateway.call(gateway.inner.statement))
    [found] = root.iter("FlexStatement")
    return found


def rows(root: ET.Element, name: str, *columns: str) -> list[tuple[str | None, ...]]:
    return [tuple(row.get(column) for column in columns) for row in root.iter(name)]


def by_hand(gateway: RunningGateway, symbol: str, action: str, quantity: float, **terms: Any) -> None:
    gateway.call(lambda: gateway.inner.place_by_hand(symbol, action, quantity, **terms))


def test_a_statement_has_executions_commissions_and_cash() -> None:
    with RunningGateway(clock="stepped") as gateway:
        gateway.advance(5)
        by_hand(gateway, "AAPL", "BUY", 300)
        by_hand(gateway, "AAPL", "SELL", 100)
        by_hand(gateway, "EUR", "BUY", 30_000, secType="CASH", exchange="IDEALPRO", currency="USD")
        gateway.call(lambda: gateway.inner.move_cash(-12.5, "Other Fees", description='market "data" & news'))
        gateway.call(lambda: gateway.inner.move_cash(500.0, "Deposits/Withdrawals", currency="EUR"))

        root = statement(gateway)

    assert (root.get("accountId"), root.get("fromDate"), root.get("toDate")) == ("DU9000001", "20260413", "20260413")
    # 14:00:05 UTC in April is 10:00:05 in New York; the present second is included.
    assert root.get("whenGenerated") == "20260413;100006"
    bought, sold, exchanged = rows(
        root, "Trade", "symbol", "buySell", "quantity", "tradePrice", "proceeds", "ibCommission", "dateTime"
    )
    # 300 at the ask of 100.02; IB's fixed price is 0.005 a share.
    assert bought == ("AAPL", "BUY", "300", "100.02", "-30006", "-1.5", "20260413;100005")
    assert sold[:6] == ("AAPL", "SELL", "-100", "100", "10000", "-1")
    assert exchanged[:6] == ("EUR.USD", "BUY", "30000", "1.1001", "-33003", "-2")
    assert all(str(id_[0]).endswith(".01") for id_ in rows(root, "Trade", "ibExecID"))
    assert rows(root, "CashTransaction", "currency", "amount", "type", "description") == [
        ("USD", "-12.5", "Other Fees", 'market "data" & news'),
        ("EUR", "500", "Deposits/Withdrawals", ""),
    ]
    dollars, euros = rows(
        root, "CashReportCurrency", "currency", "startingCash", "netTradesPurchases", "netTradesSales", "endingCash"
    )
    # Commissions of 1.50, 1.00 and 2.00, and the fee of 12.50.
    assert dollars == ("USD", "1000000", "-63009", "10000", "946974")
    assert euros == ("EUR", "0", None, "30000", "30500")


def test_a_corrected_execution_appears_once_with_its_last_id() -> None:
    with RunningGateway(clock="stepped") as gateway:
        by_hand(gateway, "AAPL", "BUY", 100)
        gateway.call(lambda: gateway.inner.venue.correct_execution(gateway.inner.venue.executions[0], price=99.98))

        root = statement(gateway)

    [(id_, price)] = rows(root, "Trade", "ibExecID", "tradePrice")
    assert str(id_).endswith(".02")
    assert price == "99.98"
    # 100 at 99.98 and a commission of 1.00.
    assert rows(root, "CashReportCurrency", "startingCash", "endingCash") == [("1000000", "990001")]


def test_money_that_came_outlives_the_gateway(tmp_path: Path) -> None:
    with RunningGateway(clock="stepped", state=tmp_path / "state") as gateway:
        by_hand(gateway, "AAPL", "BUY", 100)
        gateway.call(lambda: gateway.inner.move_cash(7.0, "Dividends"))
        before = statement(gateway)

    with RunningGateway(clock="stepped", state=tmp_path / "state") as gateway:
        after = statement(gateway)

    for name in ("Trade", "CashTransaction", "CashReportCurrency"):
        assert [row.attrib for row in after.iter(name)] == [row.attrib for row in before.iter(name)] != []


@pytest.mark.parametrize(("amount", "currency"), [(float("nan"), "USD"), (float("inf"), "USD"), (1.0, "XYZ")])
def test_money_that_is_no_figure_or_of_no_known_currency_is_refused(amount: float, currency: str) -> None:
    with RunningGateway(clock="stepped") as gateway:
        with pytest.raises(ConfigError, match="cannot be moved"):
            gateway.call(lambda: gateway.inner.move_cash(amount, "Dividends", currency=currency))
        assert rows(statement(gateway), "CashTransaction", "amount") == []
