"""The age of market data in answers: the caller sets a maximum, and every answer reports its age.

With Redis, quotes and bars are the last that the engine wrote there; any server reads them, also while the engine
cannot be reached. Without Redis, and for data that only TWS has, the desk's answers are cached. A caller that accepts
the age of a cached answer receives it without another request to the desk or TWS.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Annotated, Generic, Protocol, TypeVar

import msgspec
from fastapi import Query, Response
from pydantic import BaseModel

from ibdesk.errors import DetachedError
from ibdesk.store import Cache, Cached
from ibdesk_server.answers import Listing

T = TypeVar("T", bound=BaseModel)

# The largest `max_age` that a caller may send.
OLDEST_SECONDS = 3_600.0

MaxAge = Annotated[
    float,
    Query(
        ge=0,
        le=OLDEST_SECONDS,
        description="maximum age of the answer in seconds; 0 always asks the desk. The header `Age` is its age",
        examples=[1],
    ),
]


class Known(msgspec.Struct, Generic[T], frozen=True):
    """A known answer and its age. One that is not `whole` is used only if the desk cannot be reached."""

    answer: Listing[T]
    age_seconds: float
    whole: bool = True


class Knowledge(Protocol[T]):
    """A source of known answers."""

    async def recall(self, max_age: float) -> Known[T] | None:
        """Return the answer if it is known and at most `max_age` seconds old."""

    async def learn(self, answer: Listing[T], at_ns: int) -> None:
        """Store the desk's answer to a question asked at `at_ns`."""


class Remembered(Generic[T]):
    """The desk's answers, shared by all servers that use the same cache."""

    def __init__(self, cache: Cache, key: str, kind: type[Listing[T]]) -> None:
        self._cache, self._key, self._kind = cache, f"answer:{key}", kind

    async def recall(self, max_age: float) -> Known[T] | None:
        """Return the cached answer if it is at most `max_age` seconds old."""
        cached = await self._cache.get(self._key, max_age_seconds=max_age)
        return None if cached is None else Known(self._kind.model_validate(cached.value), cached.age_seconds)

    async def learn(self, answer: Listing[T], at_ns: int) -> None:
        """Store an answer for `OLDEST_SECONDS`."""
        value = answer.model_dump(mode="json")
        await self._cache.put(self._key, value, at_ns=at_ns, keep_seconds=OLDEST_SECONDS)


class Told(Generic[T]):
    """Market data that the engine publishes by itself.

    `read` returns its rows if they are young enough, and `answer` converts them. The answer is whole if `is_whole`
    returns true.
    """

    def __init__(
        self,
        read: Callable[[float], Awaitable[Cached | None]],
        answer: Callable[[Cached], Listing[T]],
        is_whole: Callable[[Cached], bool] = lambda _: True,
    ) -> None:
        self._read, self._answer, self._is_whole = read, answer, is_whole

    async def recall(self, max_age: float) -> Known[T] | None:
        """Return the answer if the engine's last data is at most `max_age` seconds old."""
        told = await self._read(max_age)
        return None if told is None else Known(self._answer(told), told.age_seconds, self._is_whole(told))

    async def learn(self, answer: Listing[T], at_ns: int) -> None:
        """Do nothing: only the engine writes this data."""


async def fresh_enough(
    knowledge: Knowledge[T], ask: Callable[[], Awaitable[Listing[T]]], *, max_age: float, response: Response
) -> Listing[T]:
    """Return the known answer if the caller accepts its age, else the result of `ask`.

    Sets the header `Age`. Errors of `ask` propagate, unless the desk cannot be reached and part of the answer is known.
    """
    known = await knowledge.recall(max_age) if max_age else None
    if known is None or not known.whole:
        at_ns = time.time_ns()
        try:
            answer = await ask()
        except DetachedError:
            if known is None:
                raise
        else:
            await knowledge.learn(answer, at_ns)
            response.headers["Age"] = "0"
            return answer
    response.headers["Age"] = str(int(known.age_seconds))
    return known.answer
