"""Account values as TWS reports them in account updates and summaries: tags, values and currencies.

The names of the tags and the two decimals of money are captured and documented. Values that the gateway does not model,
such as bonds or dividends, are zero. Choices of the gateway: look-ahead figures and those without intraday relief equal
the present ones. Buying power is twice the available funds, so that shares can be bought for exactly that amount; IB
also has a factor of four, with a smaller initial margin within the day.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import msgspec

from ibdesk.gateway.account.ledger import AccountLedger, Holding
from ibdesk.gateway.account.margin import STOCK_INITIAL
from ibdesk.model import Future, Option, Stock

BASE = "BASE"
"""The currency of sums over all currencies (documented)."""
_NOTHING = 0.0
SUMMARY_ONLY = frozenset({"SettledCash", "HighestSeverity"})
"""The tags that only a summary carries."""
_WITHOUT_MEANING = (
    "CorporateBondValue",
    "FundValue",
    "FutureOptionValue",
    "IssuerOptionValue",
    "MoneyMarketFundValue",
    "MutualFundValue",
    "NetDividend",
    "TBillValue",
    "TBondValue",
    "WarrantValue",
)

Amount = Callable[[Holding], float]


class Figure(msgspec.Struct, frozen=True):
    """One row; the currency is empty if the value is not an amount of money."""

    tag: str
    value: str
    currency: str = ""


def figures(ledger: AccountLedger) -> list[Figure]:
    """Return every row of an account in the order of account updates, which is sorted by tag."""
    rows = [*account_figures(ledger), *ledger_figures(ledger)]
    return sorted((row for row in rows if row.tag not in SUMMARY_ONLY), key=lambda row: row.tag)


def summary(ledger: AccountLedger, tags: Iterable[str]) -> list[Figure]:
    """Return the rows of a summary: single tags, ``All``, and the ledger of the base currency, one currency or all.

    The ledger is requested by ``$LEDGER``, ``$LEDGER:`` and a currency, or ``$LEDGER:ALL`` (documented).
    """
    wanted = set(tags)
    currencies = {tag.partition(":")[2] or BASE for tag in wanted if tag.partition(":")[0] == "$LEDGER"}
    rows = [row for row in account_figures(ledger) if row.tag in wanted or "All" in wanted]
    if "ALL" in currencies:
        rows += ledger_figures(ledger)
    else:
        rows += (row for row in ledger_figures(ledger) if row.currency in currencies)
    return sorted(rows, key=lambda row: row.tag)


def account_figures(ledger: AccountLedger) -> Iterator[Figure]:
    """Yield the rows of the account as a whole, in its base currency."""
    margin, currency = ledger.margin(), ledger.currency
    gross = sum(
        abs(ledger.in_base(holding, ledger.value(holding)))
        for holding in ledger.held()
        if isinstance(holding.contract.instrument, Stock | Option)
    )
    yield Figure("AccountCode", ledger.account)
    yield Figure("AccountReady", "true")
    yield Figure("AccountType", "INDIVIDUAL")
    yield Figure("Cushion", f"{margin.excess / margin.net_liquidation if margin.net_liquidation else 0.0:.6g}")
    yield Figure("DayTradesRemaining", "-1")
    for day in range(1, 5):
        yield Figure(f"DayTradesRemainingT+{day}", "-1")
    yield Figure("HighestSeverity", "0")
    yield Figure("Leverage", f"{gross / margin.net_liquidation if margin.net_liquidation else 0.0:.2f}")
    yield Figure("LookAheadNextChange", "0")
    money = {
        "AccruedCash": _NOTHING,
        "BuyingPower": max(0.0, margin.available) / STOCK_INITIAL,
        "EquityWithLoanValue": margin.equity,
        "GrossPositionValue": gross,
        "NetLiquidation": margin.net_liquidation,
        "PreviousDayEquityWithLoanValue": ledger.opening_value,
        "RegTEquity": margin.equity,
        "RegTMargin": margin.initial,
        "SMA": max(0.0, margin.available),
        "SettledCash": ledger.total_cash(),
        "TotalCashValue": ledger.total_cash(),
    }
    for scope in ("", "Full", "LookAhead"):
        money[f"{scope}AvailableFunds"] = margin.available
        money[f"{scope}ExcessLiquidity"] = margin.excess
        money[f"{scope}InitMarginReq"] = margin.initial
        money[f"{scope}MaintMarginReq"] = margin.maintenance
    for tag, amount in money.items():
        yield Figure(tag, _money(amount), currency)


def ledger_figures(ledger: AccountLedger) -> Iterator[Figure]:
    """Yield the rows by currency: first the sum of all under ``BASE``, then each in its own money."""
    for currency in (BASE, *ledger.cash):
        yield from _ledger_of(ledger, currency)


def _ledger_of(ledger: AccountLedger, currency: str) -> Iterator[Figure]:
    holdings = [holding for holding in ledger.holdings.values() if _is_in(holding, currency)]

    def total(amount_of: Amount, *kinds: type) -> float:
        amounts = (
            (holding, amount_of(holding)) for holding in holdings if isinstance(holding.contract.instrument, kinds)
        )
        return sum(ledger.in_base(*each) if currency == BASE else each[1] for each in amounts)

    cash = ledger.total_cash() if currency == BASE else ledger.cash[currency]
    stocks, options = total(ledger.value, Stock), total(ledger.value, Option)
    futures = total(ledger.unrealized, Future)
    yield Figure("AccountOrGroup", ledger.account, currency)
    yield Figure("Currency", currency, currency)
    yield Figure("RealCurrency", ledger.currency if currency == BASE else currency, currency)
    yield Figure("ExchangeRate", _rate(1.0 if currency == BASE else ledger.rates.rate(currency)), currency)
    money = {
        "AccruedCash": _NOTHING,
        "CashBalance": cash,
        "FuturesPNL": futures,
        "FxCashBalance": _NOTHING,
        "NetLiquidationByCurrency": cash + stocks + options + futures,
        "OptionMarketValue": options,
        "RealizedPnL": total(_realized, object),
        "StockMarketValue": stocks,
        "TotalCashBalance": cash,
        "UnrealizedPnL": total(ledger.unrealized, object),
        **dict.fromkeys(_WITHOUT_MEANING, _NOTHING),
    }
    for tag, amount in money.items():
        yield Figure(tag, _money(amount), currency)


def _is_in(holding: Holding, currency: str) -> bool:
    return currency in (BASE, holding.contract.instrument.currency)


def _realized(holding: Holding) -> float:
    return holding.position.realized_pnl


def _rate(rate: float) -> str:
    return "1.00" if rate == 1.0 else f"{rate:.7g}"


def _money(amount: float) -> str:
    # A sum of binary fractions may be slightly below zero, and TWS never writes minus zero.
    return f"{round(amount, 2) + 0.0:.2f}"
