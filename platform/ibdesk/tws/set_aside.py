"""TWS's messages that cannot be read: which may hide an execution of ours, and the report of the others."""

from __future__ import annotations

from collections.abc import Callable

from ibdesk.model import Event, Notice, Severity
from ibdesk.tws.contracts import Contracts
from ibdesk.tws.orderbook import OrderBook

_NAMES = {
    1: "price",
    2: "size",
    3: "order status",
    4: "error",
    5: "open order",
    6: "account",
    9: "next order id",
    10: "contract",
    11: "execution",
    15: "accounts",
    17: "history",
    49: "time",
    50: "bar",
    59: "commission",
    61: "position",
    79: "search",
    101: "completed order",
}
EXECUTION, POSITION, OPEN_ORDER, COMPLETED_ORDER = 11, 61, 5, 101
# Positions of the fields that identify the contract or the owner of a row.
_POSITION_CONTRACT = 3
_EXECUTION_ACCOUNT, _EXECUTION_CLIENT, _EXECUTION_REFERENCE = 16, 22, 26
# A handshake needs an order id and the accounts.
_NEEDED = frozenset({9, 15})
# Messages about orders: the books are then compared, which requests their content again.
ABOUT_ORDERS = frozenset({3, 4, 5, 59, 101})
# Answers to one request, and the position of its id.
REQUEST_AT = {10: 1, 17: 1, 79: 1}
_MOST_REMEMBERED = 1_000


def kind_of(fields: list[str]) -> int:
    """Return the number of a message, -1 if it has none."""
    return int(fields[0]) if fields and fields[0].isdecimal() and len(fields[0]) < 6 else -1


def may_hide_execution(fields: list[str], *, account: str, client_id: int, orders: OrderBook) -> bool:
    """Return whether an unreadable message may be an execution of ours, or belongs to the handshake."""
    kind = kind_of(fields)
    if kind != EXECUTION:
        return kind in _NEEDED
    if len(fields) <= _EXECUTION_REFERENCE:
        return True
    is_ours = fields[_EXECUTION_CLIENT] == str(client_id) or fields[_EXECUTION_REFERENCE] in orders
    return is_ours and fields[_EXECUTION_ACCOUNT] == account


class SetAside:
    """Reports each row that was set aside, once: TWS repeats its rows at every request."""

    def __init__(self, tell: Callable[[Event], None], contracts: Contracts) -> None:
        self._tell, self._contracts = tell, contracts
        self._told: set[str] = set()

    def note(self, fields: list[str], error: Exception, at_ns: int) -> None:
        """Report that a message was set aside."""
        name = _NAMES.get(kind_of(fields), "message")
        shown = " ".join(field for field in fields[1:20] if field)[:120]
        text = (
            f"set aside: TWS sent {_article(name)} {name} row that cannot be read ({shown or 'empty'}): {error}; "
            f"it is not an execution of ours, so trading continues"
        )
        if text not in self._told and len(self._told) < _MOST_REMEMBERED:
            self._told.add(text)
            self._tell(Notice(text, at_ns, Severity.WARNING))

    def instrument_of(self, fields: list[str]) -> str:
        """Return the instrument of a position row by its IB number, an empty string if that is not known."""
        number = fields[_POSITION_CONTRACT] if len(fields) > _POSITION_CONTRACT else ""
        return self._contracts.with_number(int(number)) if number.isdecimal() and len(number) < 20 else ""


def _article(name: str) -> str:
    return "an" if name[0] in "aeiou" else "a"
