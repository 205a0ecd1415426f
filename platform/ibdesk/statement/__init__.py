"""The drop copy: statements of the broker (Flex, XML or CSV) joined with the journals of the account."""

from typing import TYPE_CHECKING

from ibdesk.lazy import at_first_use

if TYPE_CHECKING:
    from ibdesk.statement.account_record import AccountRecord, RecordedExecution, read_account
    from ibdesk.statement.comparison import CashFigures, Difference, Report, join
    from ibdesk.statement.flex import CashLine, CashReport, Execution, Statement, StatementError, read_statements

__all__ = [
    "AccountRecord",
    "CashFigures",
    "CashLine",
    "CashReport",
    "Difference",
    "Execution",
    "RecordedExecution",
    "Report",
    "Statement",
    "StatementError",
    "join",
    "read_account",
    "read_statements",
]

__getattr__, __dir__ = at_first_use(__name__, __file__)
