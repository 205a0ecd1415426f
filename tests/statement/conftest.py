"""Hand-made journals and statements of July 2026."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from pathlib import Path

import pytest

from ibdesk.engine import RiskLimits
from ibdesk.model import Commission, EngineSnapshot, Event, Fill, Restore, Side
from ibdesk.statement import Statement, read_statements
from ibdesk.store import Journal, JournalHeader

SECOND = 1_000_000_000
# 10:00 in New York on 1 July 2026.
TEN = int(dt.datetime(2026, 7, 1, 14, tzinfo=dt.UTC).timestamp()) * SECOND
Write = Callable[..., Path]


def fill(
    id_: str, quantity: float, price: float, *, at_ns: int = TEN, currency: str = "USD", name: str = "AAPL"
) -> Fill:
    side = Side.BUY if quantity > 0 else Side.SELL
    return Fill(
        execution_id=id_,
        order_id="",
        instrument=name,
        side=side,
        quantity=abs(quantity),
        price=price,
        at_ns=at_ns,
        currency=currency,
    )


def charge(id_: str, amount: float) -> Commission:
    return Commission(execution_id=id_, amount=amount, at_ns=TEN)


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes a journal of an account with these events: `write(1, fill(...), account="DU1")`."""

    def make(number: int, *events: Event, account: str = "DU1", snapshot: EngineSnapshot | None = None) -> Path:
        header = JournalHeader(
            program="ibdesk 0", mode="paper", account="", started_ns=TEN + number, limits=RiskLimits()
        )
        journal = Journal.create(tmp_path / "journals" / f"paper-{number}.sqlite", header)
        journal.record(Restore(account=account, at_ns=TEN - 1, snapshot=snapshot or EngineSnapshot()), ())
        for event in events:
            journal.record(event, ())
        journal.close()
        return journal.path

    return make


@pytest.fixture
def statement(tmp_path: Path) -> Callable[..., Statement]:
    """Reads a statement of a day of July, the first if not another, with these rows of trades."""

    def make(*trades: str, more: str = "", day: int = 1) -> Statement:
        path = tmp_path / "flex.xml"
        rows = "".join(
            f'<Trade currency="USD" assetCategory="STK" symbol="AAPL" dateTime="20260701;100000" {each} />'
            for each in trades
        )
        path.write_text(
            f'<FlexQueryResponse><FlexStatement accountId="DU1" fromDate="202607{day:02}" toDate="202607{day:02}" '
            f'whenGenerated="202607{day + 1:02};040000"><Trades>{rows}</Trades>{more}'
            "</FlexStatement></FlexQueryResponse>"
        )
        [found] = read_statements(path)
        return found

    return make
