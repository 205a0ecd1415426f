"""The budget of messages that TWS takes in a second, and who may use it first.

TWS answers more than 50 messages a second with error 100 and then closes the socket. Orders and cancels leave in the
very call that makes them while there is budget; data requests leave a part of it to them. What has to wait goes
cancels first, then orders, then data, each in the order in which it came.
"""

from __future__ import annotations

import asyncio
import enum
from collections import deque
from collections.abc import Callable

# TWS counts when it reads. The window is longer than its second, so that a burst that was read late and one that was
# read at once do not meet in the same second.
WINDOW_SECONDS = 1.1


class Urgency(enum.IntEnum):
    """Who goes first when messages have to wait."""

    CANCEL = 0
    ORDER = 1
    DATA = 2


def _always() -> bool:
    return True


def _ignore() -> None:
    """Do nothing about a fence that is never there."""


class Pacer:
    """Lets at most `limit` messages through in any window, and at most `limit - reserve` data requests.

    A waiting order message is known by its order's number: a newer one (a modification) takes its place, and it can
    be withdrawn, so that a cancel never overtakes the order it is meant for.

    Orders and cancels leave only while `may_send` says so at that very moment. Once it does not, nothing leaves any
    more, `on_fenced` is called, and what has not left is among what `close` returns. `before_waiting`
    is called before orders leave that have waited: it may withdraw them for what was decided meanwhile.
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
        # _wake_at: when the loop will call `_flush`; uvloop's handles do not always tell.
        self._wake: asyncio.Handle | None = None
        self._wake_at = 0.0
        self.messages_sent = 0

    @property
    def waiting(self) -> int:
        """Return how many messages wait for budget."""
        return len(self._cancels) + len(self._orders) + len(self._data)

    def send(self, message: bytes, urgency: Urgency, number: int = 0) -> None:
        """Write the message now when there is budget and nobody more urgent waits, else queue it.

        `number` tells order messages apart; others do not need it.
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
        """Forget all that waits; return the numbers of the orders that a message waited for."""
        if self._wake is not None:
            self._wake.cancel()
            self._wake = None
        unsent = list(self._orders)
        self._cancels.clear()
        self._orders.clear()
        self._data.clear()
        return unsent

    def _blocked(self, urgency: Urgency) -> bool:
        """Return whether a message of at least this urgency is already waiting."""
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
        """Keep a message that may not leave, and let nothing leave after it."""
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
    """Return the time from which one more message keeps the limit: the deque is as long as the limit."""
    return sent[0] + window if len(sent) == sent.maxlen else 0.0
