"""How old an answer about the market may be: the caller says, and every answer tells its age.

An answer of the desk is remembered for a while, for all web workers where there is a Redis; whoever accepts one of
that age gets it without asking the desk, or TWS, again.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Annotated, TypeVar

from fastapi import Query, Response
from pydantic import BaseModel

from ibdesk.store import Cache
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


async def fresh_enough(
    cache: Cache,
    key: str,
    kind: type[Listing[T]],
    ask: Callable[[], Awaitable[Listing[T]]],
    *,
    max_age: float,
    response: Response,
) -> Listing[T]:
    """Return what is remembered under the key if the caller accepts its age, else what `ask` gives, to be remembered.

    What `ask` raises comes through. `Age` and `Date` of the response are set.
    """
    cached = await cache.get(key, max_age_seconds=max_age) if max_age else None
    if cached is not None:
        response.headers["Age"] = str(int(cached.age_seconds))
        return kind.model_validate(cached.value)
    at_ns = time.time_ns()
    answer = await ask()
    await cache.put(key, answer.model_dump(mode="json"), at_ns=at_ns, keep_seconds=OLDEST_SECONDS)
    response.headers["Age"] = "0"
    return answer
