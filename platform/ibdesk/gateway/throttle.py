"""Where a client's messages are counted before they are heard: too many in a second are refused, or wait their turn."""

from __future__ import annotations

from collections import deque
from typing import Protocol

from ibdesk.gateway.pacing import MessageRate, Verdict
from ibdesk.gateway.schedule import Appointment, Schedule


class Client(Protocol):
    """What the throttle needs of a session."""

    is_patient: bool
    """Whether the client wants to be slowed down rather than refused."""

    def answer(self, payload: bytes) -> None:
        """Answer one message."""

    def error(self, request_id: int, code: int, text: str) -> None:
        """Send an error."""

    def hang_up(self, *, at_once: bool) -> None:
        """Close the socket."""

    def read(self, *, on: bool) -> None:
        """Read no more from the socket, or go on."""


class MessageThrottle:
    """Lets one session's messages through at the rate its client is allowed.

    What waits is bounded by what one read of the socket brings: the socket is not read while anything waits.
    """

    def __init__(self, client: Client, rate: MessageRate, schedule: Schedule) -> None:
        self._client = client
        self._rate = rate
        self._schedule = schedule
        self._waiting: deque[bytes] = deque()
        self._turn: Appointment | None = None

    def take(self, payload: bytes) -> None:
        """Take the next message of the client."""
        if self._waiting:
            self._waiting.append(payload)
            return
        match self._rate.judge(waits=self._client.is_patient):
            case Verdict.TAKEN:
                self._client.answer(payload)
            case Verdict.WAITS:
                self._waiting.append(payload)
                self._client.read(on=False)
                self._wait()
            case Verdict.REFUSED:
                self._client.error(-1, 100, self._rate.complaint())
            case Verdict.LAST:
                self._client.error(-1, 100, self._rate.complaint())
                self._client.hang_up(at_once=False)
            case Verdict.DROPPED:
                pass

    def close(self) -> None:
        """Forget what waits."""
        self._waiting.clear()
        if self._turn is not None:
            self._turn.cancel()

    def _wait(self) -> None:
        self._turn = self._schedule.at(self._rate.free_ns, self._go_on)

    def _go_on(self) -> None:
        while self._waiting:
            if self._rate.judge(waits=True) is Verdict.WAITS:
                self._wait()
                return
            self._client.answer(self._waiting.popleft())
        self._client.read(on=True)
