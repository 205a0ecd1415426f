"""A desk is killed, a person trades meanwhile, a new desk continues: statement and journals agree to the cent."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.processes.conftest import report_of
from tests.stack import IBDESK, Program, Stack, eventually

from ibdesk.errors import JournalError
from ibdesk.statement import StatementReport
from ibdesk.testing.gateway import RunningGateway

if TYPE_CHECKING:
    from tests.processes.conftest import MakeStack, Trading

pytestmark = pytest.mark.timeout(300)


def start_run(stack: Stack) -> Program:
    return stack.start("run", str(stack.folder / "strategies" / "churner.py"), "--on", "AAPL")


def test_statement_and_journals_agree_over_a_kill_and_trades_by_hand(
    make_stack: MakeStack, walking_gateway: RunningGateway, trading: Trading
) -> None:
    stack = make_stack()
    desk = start_run(stack)
    trading.goes_on(fills=8)

    desk.kill()
    walking_gateway.call(lambda: walking_gateway.inner.place_by_hand("AAPL", "BUY", 7))
    walking_gateway.call(lambda: walking_gateway.inner.place_by_hand("AAPL", "SELL", 3))
    desk = start_run(stack)

    def agreed() -> StatementReport | None:
        with contextlib.suppress(JournalError):
            report = report_of(walking_gateway, stack)
            if not report.differences and len(report.journals) == 2:
                return report
        return None

    report = eventually(agreed, "the new desk has all that the account did meanwhile")
    assert report.agreed == report.executions_there >= 10
    desk.kill()
    # The second desk packs the journal of the first one at a time of its own.
    journals = [path for pattern in ("*.sqlite", "*.sqlite.gz") for path in (stack.state / "journals").glob(pattern)]
    assert {path.name.removesuffix(".gz") for path in journals} == {
        name.removesuffix(".gz") for name in report.journals
    }

    verified = Program([*IBDESK, "journal", "verify"], stack.environment, Path(stack.folder / "verify.log"))

    assert verified.wait() == 0, verified.said
    assert "whole: 2 journals" in verified.said
