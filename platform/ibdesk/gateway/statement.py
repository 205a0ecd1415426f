"""The Flex statement of an account, as IB writes it: executions, commissions and cash."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from xml.sax.saxutils import quoteattr

from ibdesk.clock import SECOND
from ibdesk.gateway.account.ledger import AccountLedger, CashMove
from ibdesk.gateway.times import local
from ibdesk.gateway.venue.records import Execution
from ibdesk.model import Forex, Future

_ZERO = Decimal(0)
# The column of the cash report for each kind of cash movement without a trade.
_COLUMNS = {
    "Deposits/Withdrawals": "depositWithdrawals",
    "Dividends": "dividends",
    "Payment In Lieu Of Dividends": "dividends",
    "Withholding Tax": "withholdingTax",
    "Broker Interest Received": "brokerInterest",
    "Broker Interest Paid": "brokerInterest",
    "Bond Interest Received": "bondInterest",
    "Other Fees": "otherFees",
}


def flex_statement(ledgers: Iterable[AccountLedger], executions: Iterable[Execution], now_ns: int) -> str:
    """Return the activity statement of the accounts in XML: Trades, Cash Transactions and Cash Report.

    Its times are in the gateway's zone. A combination appears as its legs, as in IB's statements.
    """
    done = [each for each in executions if not each.contract.legs]
    bodies = [_statement(ledger, [each for each in done if _is_of(ledger, each)], now_ns) for ledger in ledgers]
    lines = [
        '<?xml version="1.0" encoding="UTF-8"?>',
        '<FlexQueryResponse queryName="ibdesk gateway" type="AF">',
        f'<FlexStatements count="{len(bodies)}">',
        *(line for body in bodies for line in body),
        "</FlexStatements>",
        "</FlexQueryResponse>",
    ]
    return "\n".join(lines) + "\n"


def _is_of(ledger: AccountLedger, execution: Execution) -> bool:
    return execution.record.account == ledger.account


def _statement(ledger: AccountLedger, executions: list[Execution], now_ns: int) -> list[str]:
    times = [each.fill.at_ns for each in executions] + [each.at_ns for each in ledger.moves]
    head = {
        "accountId": ledger.account,
        "fromDate": _day(min(times, default=now_ns)),
        "toDate": _day(now_ns),
        "period": "",
        # The present second so far is included.
        "whenGenerated": _time(now_ns + SECOND),
    }
    trades = [_element("Trade", _trade(each, number)) for number, each in enumerate(executions, 1)]
    moves = [
        _element("CashTransaction", _cash_line(ledger.account, move, number))
        for number, move in enumerate(ledger.moves, 1)
    ]
    reports = [_element("CashReportCurrency", cells) for cells in _cash_reports(ledger, executions)]
    opening = _element("FlexStatement", head).removesuffix("/>").rstrip() + ">"
    sections = (("Trades", trades), ("CashTransactions", moves), ("CashReport", reports))
    inner = [line for name, rows in sections for line in (f"<{name}>", *rows, f"</{name}>")]
    return [opening, *inner, "</FlexStatement>"]


def _trade(execution: Execution, number: int) -> dict[str, str]:
    contract, fill = execution.contract, execution.fill
    quantity, price = _exact(fill.signed_quantity), _exact(fill.price)
    proceeds = _ZERO if contract.sec_type == "FUT" else -quantity * price * _exact(fill.multiplier)
    commission = _exact(execution.commission)
    symbol = contract.id if contract.sec_type == "CASH" else contract.local_symbol or contract.symbol
    return {
        "accountId": execution.record.account,
        "currency": contract.instrument.currency,
        "assetCategory": contract.sec_type,
        "symbol": symbol,
        "description": contract.long_name,
        "conid": str(contract.con_id),
        "multiplier": _text(_exact(fill.multiplier)),
        "tradeID": str(number),
        "dateTime": _time(fill.at_ns),
        "tradeDate": _day(fill.at_ns),
        "transactionType": "ExchTrade",
        "quantity": _text(quantity),
        "tradePrice": _text(price),
        "proceeds": _text(proceeds),
        "taxes": "0",
        "ibCommission": _text(-commission),
        "ibCommissionCurrency": contract.instrument.currency,
        "netCash": _text(proceeds - commission),
        "buySell": fill.side.name,
        "ibOrderID": str(execution.record.permanent_id),
        "transactionID": str(number),
        "ibExecID": execution.id,
        "levelOfDetail": "EXECUTION",
    }


def _cash_line(account: str, move: CashMove, number: int) -> dict[str, str]:
    return {
        "accountId": account,
        "currency": move.currency,
        "dateTime": _time(move.at_ns),
        "amount": _text(_exact(move.amount)),
        "type": move.kind,
        "description": move.description,
        "transactionID": f"C{number}",
        "reportDate": _day(move.at_ns),
        "levelOfDetail": "DETAIL",
    }


def _cash_reports(ledger: AccountLedger, executions: list[Execution]) -> Iterator[dict[str, str]]:
    """Yield the starting cash, the changes and the ending cash of each currency."""
    for currency, amount in ledger.cash.items():
        moved: dict[str, Decimal] = {}
        for column, change in _changes(ledger.moves, executions, currency):
            moved[column] = moved.get(column, _ZERO) + change
        ending = round(_exact(amount), 8)
        yield {
            "accountId": ledger.account,
            "currency": currency,
            "levelOfDetail": "Currency",
            "startingCash": _text(ending - sum(moved.values(), _ZERO)),
            **{column: _text(change) for column, change in moved.items()},
            "endingCash": _text(ending),
        }


def _changes(
    moves: Iterable[CashMove], executions: Iterable[Execution], currency: str
) -> Iterator[tuple[str, Decimal]]:
    for move in moves:
        if move.currency == currency:
            yield _COLUMNS.get(move.kind, "other"), _exact(move.amount)
    for execution in executions:
        instrument, fill = execution.contract.instrument, execution.fill
        quantity = _exact(fill.signed_quantity)
        if isinstance(instrument, Forex) and instrument.symbol == currency:
            yield _traded(quantity), quantity
        if instrument.currency != currency:
            continue
        commission = _exact(execution.commission)
        yield "commissions", -commission
        if isinstance(instrument, Future):
            # Its commission is part of the position's cost, and reduces the profit of closing it.
            yield "cashSettlingMtm", _exact(execution.realized or 0.0) + commission
        else:
            worth = -quantity * _exact(fill.price) * _exact(fill.multiplier)
            yield _traded(worth), worth


def _traded(amount: Decimal) -> str:
    return "netTradesSales" if amount > 0 else "netTradesPurchases"


def _element(name: str, cells: Mapping[str, str]) -> str:
    return f"<{name} {' '.join(f'{key}={quoteattr(text)}' for key, text in cells.items())} />"


def _exact(number: float) -> Decimal:
    return Decimal(repr(float(number)))


def _text(number: Decimal) -> str:
    text = f"{number:f}"
    return text.rstrip("0").rstrip(".") or "0" if "." in text else text


def _day(at_ns: int) -> str:
    return f"{local(at_ns):%Y%m%d}"


def _time(at_ns: int) -> str:
    return f"{local(at_ns):%Y%m%d;%H%M%S}"
