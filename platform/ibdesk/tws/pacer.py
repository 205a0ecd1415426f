"""The budget of messages per second to TWS, and their priority.

TWS answers more than 50 messages a second with error 100 and then closes the socket. While there is budget, orders and
cancels leave in the call that makes them; data requests leave a part of it free for them. Waiting messages leave in
this order: cancels, orders, data, each first in, first out.
"""

from __future__ import annotations

import asyncio
import enum
from collections import deque
from collections.abc import Callable

# TWS counts messages when it reads them. The window is longer than TWS's second, so that a burst that TWS reads late
# does not share a second with one that it reads at once.
WINDOW_SECONDS = 1.1


class Urgency(enum.IntEnum):
    """The priority of waiting messages; the lowest value leaves first."""

    CANCEL = 0
    ORDER = 1
    DATA = 2


def _always() -> bool:
    return True


def _ignore() -> None:
    """Do nothing: there is no fence."""


class Pacer:
    """Lets at most `limit` messages through in any window, and at most `limit - reserve` data requests.

    A waiting order message is identified by its order's number: a newer one (a modification) replaces it, and it can
    be withdrawn, so that a cancel never overtakes its order.

    Each order and cancel leaves only if `may_send` returns True at that moment. Once it returns False, no message
    leaves any more, `on_fenced` is called, and `close` returns the orders that have not left. `before_waiting` is
    called before waiting orders leave: it may withdraw them because of newer decisions.
    """

    def __init__(
        self,
        write: Callable[[bytes], None],
        *,
        limit: int,
        reserve: int,
        window_seconds: float = WINDOW_SECONDS,
        may_send: Callable[[], bool] = _always,
        on_fenced: Callable[[], None] = _ignore,
        before_waiting: Callable[[], None] = _ignore,
    ) -> None:
        self._write, self._may_send, self._on_fenced = write, may_send, on_fenced
        self._before_waiting = before_waiting
        self._is_fenced = False
        self._window = window_seconds
        self._loop = asyncio.get_running_loop()
        self._sent: deque[float] = deque(maxlen=limit)
        self._sent_data: deque[float] = deque(maxlen=limit - reserve)
        self._cancels: deque[bytes] = deque()
        self._orders: dict[int, bytes] = {}
        self._data: deque[bytes] = deque()
        self._left: set[int] = set()
        self._wake: asyncio.Handle | None = None
        # When the loop will call `_flush`; uvloop's handles do not always report it.
        self._wake_at = 0.0
        self.messages_sent = 0

    @property
    def waiting(self) -> int:
        """Return how many messages wait for budget."""
        return len(self._cancels) + len(self._orders) + len(self._data)

    def send(self, message: bytes, urgency: Urgency, number: int = 0) -> None:
        """Write the message now if there is budget and nothing more urgent waits, else queue it.

        `number` identifies order messages; others do not need it.
        """
        if urgency is Urgency.ORDER and number in self._orders:
            self._orders[number] = message
            return
        now = self._loop.time()
        if not self._blocked(urgency) and self._has_budget(now, urgency):
            self._let_go(message, now, urgency, number)
            return
        if urgency is Urgency.CANCEL:
            self._cancels.append(message)
        elif urgency is Urgency.ORDER:
            self._orders[number] = message
        else:
            self._data.append(message)
        self._wake_later(now)

    def withdraw(self, number: int) -> bool:
        """Drop the waiting message of an order; return whether there was one."""
        return self._orders.pop(number, None) is not None

    def take_back(self) -> list[int]:
        """Drop the waiting messages of all orders; return the orders' numbers."""
        unsent = list(self._orders)
        self._orders.clear()
        return unsent

    def has_left(self, number: int) -> bool:
        """Return whether any message of this order was written."""
        return number in self._left

    def close(self) -> list[int]:
        """Discard all waiting messages; return the numbers of the orders among them."""
        if self._wake is not None:
            self._wake.cancel()
            self._wake = None
        unsent = list(self._orders)
        self._cancels.clear()
        self._orders.clear()
        self._data.clear()
        return unsent

    def _blocked(self, urgency: Urgency) -> bool:
        """Return whether a message of the same or a higher urgency is already waiting."""
        if self._cancels:
            return True
        if urgency is Urgency.CANCEL:
            return False
        return bool(self._orders) or (urgency is Urgency.DATA and bool(self._data))

    def _has_budget(self, now: float, urgency: Urgency) -> bool:
        if self._is_fenced:
            return False
        return _room_at(self._sent, self._window) <= now and (
            urgency is not Urgency.DATA or _room_at(self._sent_data, self._window) <= now
        )

    def _let_go(self, message: bytes, now: float, urgency: Urgency, number: int = 0) -> None:
        if urgency is not Urgency.DATA and not self._may_send():
            self._fence(message, urgency, number)
            return
        self._sent.append(now)
        if urgency is Urgency.DATA:
            self._sent_data.append(now)
        elif urgency is Urgency.ORDER:
            self._left.add(number)
        self.messages_sent += 1
        self._write(message)

    def _fence(self, message: bytes, urgency: Urgency, number: int) -> None:
        """Keep a message that may not leave, and let no message leave after it."""
        self._is_fenced = True
        if urgency is Urgency.CANCEL:
            self._cancels.append(message)
        else:
            self._orders[number] = message
        self._on_fenced()

    def _flush(self) -> None:
        self._wake = None
        if self._orders:
            self._before_waiting()
        now = self._loop.time()
        while self._cancels and self._has_budget(now, Urgency.CANCEL):
            self._let_go(self._cancels.popleft(), now, Urgency.CANCEL)
        while self._orders and self._has_budget(now, Urgency.ORDER):
            number = next(iter(self._orders))
            self._let_go(self._orders.pop(number), now, Urgency.ORDER, number)
        while self._data and not self._orders and self._has_budget(now, Urgency.DATA):
            self._let_go(self._data.popleft(), now, Urgency.DATA)
        self._wake_later(now)

    def _wake_later(self, now: float) -> None:
        if not self.waiting or self._is_fenced:
            return
        due = max(now, _room_at(self._sent, self._window))
        if not self._cancels and not self._orders:
            due = max(due, _room_at(self._sent_data, self._window))
        if self._wake is not None:
            if self._wake_at <= due:
                return
            self._wake.cancel()
        self._wake, self._wake_at = self._loop.call_at(due, self._flush), due


def _room_at(sent: deque[float], window: float) -> float:
    """Return the time from which one more message stays within the limit: the deque is as long as the limit."""
    return sent[0] + window if len(sent) == sent.maxlen else 0.0
