"""How old an answer about the market may be: the caller says, and every answer tells its age.

Where there is a Redis, quotes and bars are what the engine wrote there last, and any server reads them, also while the
engine cannot be reached. Else, and for what only TWS knows, an answer of the desk is remembered for a while. Whoever
accepts one of that age gets it without asking the desk, or TWS, again.
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

# No caller may accept older answers than this.
OLDEST_SECONDS = 3_600.0

MaxAge = Annotated[
    float,
    Query(
        ge=0,
        le=OLDEST_SECONDS,
        description="how many seconds old the answer may be; 0 asks the desk anew. `Age` tells how old it is",
        examples=[1],
    ),
]


class Known(msgspec.Struct, Generic[T], frozen=True):
    """An answer that need not be asked for, and its age; one that is not `whole` does for want of a better one."""

    answer: Listing[T]
    age_seconds: float
    whole: bool = True


class Knowledge(Protocol[T]):
    """Where an answer may be known already."""

    async def recall(self, max_age: float) -> Known[T] | None:
        """Return the answer if it is known and no older than so many seconds."""

    async def learn(self, answer: Listing[T], at_ns: int) -> None:
        """Take note of what the desk answered to a question asked at `at_ns`."""


class Remembered(Generic[T]):
    """What the desk answered, for all who use the same cache."""

    def __init__(self, cache: Cache, key: str, kind: type[Listing[T]]) -> None:
        self._cache, self._key, self._kind = cache, f"answer:{key}", kind

    async def recall(self, max_age: float) -> Known[T] | None:
        """Return the answer if it is young enough."""
        cached = await self._cache.get(self._key, max_age_seconds=max_age)
        return None if cached is None else Known(self._kind.model_validate(cached.value), cached.age_seconds)

    async def learn(self, answer: Listing[T], at_ns: int) -> None:
        """Remember an answer."""
        value = answer.model_dump(mode="json")
        await self._cache.put(self._key, value, at_ns=at_ns, keep_seconds=OLDEST_SECONDS)


class Told(Generic[T]):
    """What the engine tells of the market by itself.

    `read` gives its rows, if they are of an age, and `answer` makes an answer of them; it is whole if `is_whole` finds
    nothing missing.
    """

    def __init__(
        self,
        read: Callable[[float], Awaitable[Cached | None]],
        answer: Callable[[Cached], Listing[T]],
        is_whole: Callable[[Cached], bool] = lambda _: True,
    ) -> None:
        self._read, self._answer, self._is_whole = read, answer, is_whole

    async def recall(self, max_age: float) -> Known[T] | None:
        """Return the answer if what the engine told last is young enough."""
        told = await self._read(max_age)
        return None if told is None else Known(self._answer(told), told.age_seconds, self._is_whole(told))

    async def learn(self, answer: Listing[T], at_ns: int) -> None:
        """Take no note: the engine alone writes what it knows."""


async def fresh_enough(
    knowledge: Knowledge[T], ask: Callable[[], Awaitable[Listing[T]]], *, max_age: float, response: Response
) -> Listing[T]:
    """Return what is known if the caller accepts its age, else what `ask` gives.

    `Age` of the response is set. What `ask` raises comes through, unless the desk cannot be reached and part of the
    answer is known.
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
