"""The drop copy: the broker's Flex statements (XML or CSV) compared with the journals of the account."""

from typing import TYPE_CHECKING

from ibdesk.lazy import at_first_use

if TYPE_CHECKING:
    from ibdesk.statement.cash import CashFigures
    from ibdesk.statement.comparison import StatementReport, join
    from ibdesk.statement.discrepancy import StatementDifference
    from ibdesk.statement.flex import (
        CashLine,
        CashReport,
        Statement,
        StatementError,
        StatementExecution,
        read_statements,
    )
    from ibdesk.statement.journaled_account import JournaledAccount, JournaledExecution, read_account

__all__ = [
    "CashFigures",
    "CashLine",
    "CashReport",
    "JournaledAccount",
    "JournaledExecution",
    "Statement",
    "StatementDifference",
    "StatementError",
    "StatementExecution",
    "StatementReport",
    "join",
    "read_account",
    "read_statements",
]

__getattr__, __dir__ = at_first_use(__name__, __file__)
