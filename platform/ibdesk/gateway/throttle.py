"""The limit of a client's messages per second: further ones are refused or delayed."""

from __future__ import annotations

from collections import deque
from typing import Protocol

from ibdesk.gateway.pacing import MessageRate, MessageVerdict
from ibdesk.gateway.schedule import Schedule, ScheduledAction


class ThrottledClient(Protocol):
    """The operations that the throttle needs of a session."""

    is_patient: bool
    """Whether the client's messages are to be delayed instead of refused."""

    def answer(self, payload: bytes) -> None:
        """Answer one message."""

    def error(self, request_id: int, code: int, text: str) -> None:
        """Send an error."""

    def hang_up(self, *, at_once: bool) -> None:
        """Close the socket."""

    def read(self, *, on: bool) -> None:
        """Stop or resume reading the socket."""


class MessageThrottle:
    """Forwards a session's messages at its allowed rate.

    The waiting messages are bounded by one read of the socket, because it is not read while any wait.
    """

    def __init__(self, client: ThrottledClient, rate: MessageRate, schedule: Schedule) -> None:
        self._client = client
        self._rate = rate
        self._schedule = schedule
        self._waiting: deque[bytes] = deque()
        self._turn: ScheduledAction | None = None

    def take(self, payload: bytes) -> None:
        """Receive the next message of the client."""
        if self._waiting:
            self._waiting.append(payload)
            return
        match self._rate.judge(waits=self._client.is_patient):
            case MessageVerdict.TAKEN:
                self._client.answer(payload)
            case MessageVerdict.WAITS:
                self._waiting.append(payload)
                self._client.read(on=False)
                self._wait()
            case MessageVerdict.REFUSED:
                self._client.error(-1, 100, self._rate.complaint())
            case MessageVerdict.LAST:
                self._client.error(-1, 100, self._rate.complaint())
                self._client.hang_up(at_once=False)
            case MessageVerdict.DROPPED:
                pass

    def close(self) -> None:
        """Drop the waiting messages."""
        self._waiting.clear()
        if self._turn is not None:
            self._turn.cancel()

    def _wait(self) -> None:
        self._turn = self._schedule.at(self._rate.free_ns, self._go_on)

    def _go_on(self) -> None:
        while self._waiting:
            if self._rate.judge(waits=True) is MessageVerdict.WAITS:
                self._wait()
                return
            self._client.answer(self._waiting.popleft())
        self._client.read(on=True)
