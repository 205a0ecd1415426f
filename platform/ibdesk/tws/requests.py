"""Open requests to TWS that wait for an answer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable
from typing import Any

from ibdesk.errors import LinkError


class RequestError(Exception):
    """TWS refused a request; the caller converts its code and text into an error of its own."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(code, text)
        self.code, self.text = code, text

    def __str__(self) -> str:
        return f"{self.text} (TWS error {self.code})"


class NoAnswerError(LinkError):
    """TWS did not answer a request in time."""


def market_rule(number: int) -> Hashable:
    """Return the key of the request for a market rule; its answer carries only the rule's number."""
    return ("market rule", number)


class Requests:
    """The open requests of one connection, by request id, or by name where TWS echoes no id.

    Requests of one name are sent one after the other, because their answers cannot be distinguished.
    """

    def __init__(self, timeout_seconds: float) -> None:
        self._timeout = timeout_seconds
        self._waiting: dict[Hashable, tuple[asyncio.Future[list[Any]], list[Any]]] = {}
        self._turns: dict[Hashable, asyncio.Lock] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    def __contains__(self, key: Hashable) -> bool:
        return key in self._waiting

    async def ask(self, key: Hashable, send: Callable[[], object], what: str) -> list[Any]:
        """Send a request and return the parts of its answer.

        Raises:
            NoAnswerError: If no answer arrives in time; `what` names the request.
            LinkError: If the connection is lost.
            RequestError: If TWS refuses.
        """
        async with self._turns.setdefault(key, asyncio.Lock()):
            future: asyncio.Future[list[Any]] = asyncio.get_running_loop().create_future()
            self._waiting[key] = (future, [])
            try:
                async with asyncio.timeout(self._timeout):
                    send()
                    return await future
            except TimeoutError as error:
                raise NoAnswerError(f"TWS did not answer within {self._timeout:g} s: {what}") from error
            except ConnectionError as error:
                raise LinkError(f"the connection to TWS is lost: {what} was not requested") from error
            finally:
                self._waiting.pop(key, None)
                if isinstance(key, int):
                    self._turns.pop(key, None)

    def add(self, key: Hashable, part: object) -> None:
        """Store one part of an answer; a part without an open request is dropped."""
        if key in self._waiting:
            self._waiting[key][1].append(part)

    def end(self, key: Hashable) -> None:
        """Complete a request with the collected parts."""
        if key in self._waiting:
            future, parts = self._waiting[key]
            if not future.done():
                future.set_result(parts)

    def refuse(self, key: Hashable, code: int, text: str) -> None:
        """Fail a request with TWS's refusal."""
        self._fail(key, RequestError(code, text))

    def close(self, reason: str) -> None:
        """Fail all open requests: the connection is lost."""
        for key in list(self._waiting):
            self._fail(key, LinkError(f"the connection to TWS went away: {reason}"))

    def _fail(self, key: Hashable, error: Exception) -> None:
        if key in self._waiting:
            future = self._waiting[key][0]
            if not future.done():
                future.set_exception(error)
