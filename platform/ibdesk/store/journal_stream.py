"""The present life of a desk in Redis: what changed books in its journal, for engines on other machines.

A life is a stream of its own, whose messages are numbered as the events are in the journal, and a head names the life
that is to be gone on from. Nothing of a life is trimmed: one event less and what follows could not be understood. Its
writer says what it believes to be the last one there, and nothing is written where that is wrong: so a repeat changes
nothing, a Redis that has lost something is sent it again, and the stream never has a hole. A life takes the head,
and the one before it leaves, once all of it is there, and only if no later engine has taken it.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import msgspec
import redis.exceptions

from ibdesk.errors import IbdeskError
from ibdesk.store.journal import SCHEMA_VERSION, JournalHeader, decode_header, encode_header
from ibdesk.store.journal_copy import FaultyRowsError
from ibdesk.store.journal_reader import BookRow
from ibdesk.store.redis.errors import RedisError
from ibdesk.store.redis.pool import Client, RedisPool

# Bytes of one message to or from Redis, about; a single larger event goes alone, up to the most that any may have.
MESSAGE_BYTES = 256 * 1024
_MOST_ROW_BYTES = 64 * 1024 * 1024
# What never took the head, because its engine died before, leaves after this time.
_UNFINISHED_MS = 3_600_000
# Longer than other calls may take: nobody waits for these, and a large event is to come through a slow line too.
_SECONDS = 5.0

# All answers begin with a word. What is written: whose journal, the last event there, and the events behind it.
_APPENDING = """
local head = redis.call('HMGET', KEYS[1], 'token', 'life')
if head[1] and tonumber(head[1]) > tonumber(ARGV[1]) then return {'replaced', head[1]} end
local newest = redis.call('XREVRANGE', KEYS[2], '+', '-', 'COUNT', 1)[1]
local last = newest and string.match(newest[1], '^%d+') or '0'
if last ~= ARGV[3] then return {'ends', last} end
for at = 10, #ARGV, 2 do
    redis.call('XADD', KEYS[2], ARGV[at] .. '-0', 'm', ARGV[at + 1])
    last = ARGV[at]
end
if ARGV[4] == '1' then
    if head[2] and head[2] ~= ARGV[2] then redis.call('UNLINK', KEYS[1] .. ':' .. head[2]) end
    redis.call('HSET', KEYS[1], 'token', ARGV[1], 'life', ARGV[2], 'header', ARGV[5], 'host', ARGV[6],
        'order_ids', ARGV[7], 'fault', ARGV[8])
    redis.call('HINCRBY', KEYS[1], 'beats', 1)
    redis.call('PERSIST', KEYS[2])
else
    redis.call('PEXPIRE', KEYS[2], ARGV[9])
end
return {'ends', last}
"""
_READING = """
local head = redis.call('HMGET', KEYS[1], 'token', 'life', 'header', 'host', 'order_ids', 'fault', 'beats')
local found, size = {}, 0
if head[2] and head[2] == ARGV[1] then
    for _, each in ipairs(redis.call('XRANGE', KEYS[1] .. ':' .. head[2], ARGV[2] .. '-1', '+', 'COUNT', 200)) do
        local data = each[2][2]
        size = size + #data
        if #found > 0 and size > tonumber(ARGV[3]) then break end
        found[#found + 1] = #data > tonumber(ARGV[4]) and '' or data
    end
end
return {head, found}
"""


class StreamedJournal(msgspec.Struct, frozen=True, kw_only=True):
    """Whose journal it is: the number of the engine's leadership, the file's name, its header, and the machine."""

    token: int
    name: str
    header: JournalHeader
    host: str


class Head(msgspec.Struct, frozen=True, kw_only=True):
    """The life to go on from, as its engine said last.

    Order ids up to `order_ids` may have been used. `fault` says why the events in Redis are not all that there were,
    empty while they are. `beats` grows as long as the engine says anything.
    """

    journal: StreamedJournal
    order_ids: int
    fault: str
    beats: int


class JournalReplacedError(IbdeskError):
    """A later engine has its life in Redis: this one's is of no interest any more."""


class JournalStream:
    """The lives of one office, to be written by who leads it and read by who stands by; belongs to one event loop."""

    def __init__(self, pool: RedisPool, office: str) -> None:
        self._pool = pool
        # In braces, so that a cluster keeps an office's keys together.
        self._head = pool.settings.key(f"{{journal:{office}}}")
        self._client: Client | None = None

    async def append(
        self,
        journal: StreamedJournal,
        rows: Sequence[BookRow],
        *,
        after: int,
        is_whole: bool,
        order_ids: int,
        fault: str = "",
    ) -> int:
        """Write the rows behind the event `after`, and return the number of the last event there, 0 for none.

        When that is not the last of `rows`, nothing was written: go on behind it. With `is_whole` these are the last
        rows that there are, and the life takes the head. When it raises, they may nevertheless have arrived.

        Raises:
            RedisError: If Redis cannot take them now.
            JournalReplacedError: If a later engine has its life there.
        """
        words: list[str | bytes | int] = [journal.token, journal.name, after, int(is_whole)]
        words += [encode_header(journal.header), journal.host, order_ids, fault, _UNFINISHED_MS]
        for row in rows:
            words += [row.number, msgspec.msgpack.encode(row)]
        keys = (self._head, f"{self._head}:{journal.name}")
        word, value = await self._bounded(lambda client: client.eval(_APPENDING, len(keys), *keys, *words))
        if word == b"replaced":
            raise JournalReplacedError(
                f"the journal {journal.name} of token {journal.token} was followed by one of {int(value)}"
            )
        return int(value)

    async def read(self, name: str, *, after: int) -> tuple[Head | None, list[BookRow]]:
        """Return the head, or None, and a piece of the rows behind the event `after`.

        There are rows only if the head's journal is `name`. Call again until none comes.

        Raises:
            RedisError: If Redis cannot be read now.
            FaultyRowsError: If what it holds is none of a desk's.
        """
        limits = (MESSAGE_BYTES, _MOST_ROW_BYTES)
        fields, found = await self._bounded(lambda client: client.eval(_READING, 1, self._head, name, after, *limits))
        if fields[1] is None:
            return None, []
        try:
            return _head(fields), [msgspec.msgpack.decode(data, type=BookRow) for data in found]
        except (msgspec.DecodeError, IbdeskError, ValueError) as error:
            raise FaultyRowsError(f"what Redis holds of the earlier journal cannot be read: {error}") from None

    async def close(self) -> None:
        """Close the connection."""
        client, self._client = self._client, None
        if client is not None:
            with contextlib.suppress(redis.exceptions.RedisError, OSError):
                await client.aclose()

    async def _bounded(self, work: Callable[[Client], Awaitable[Any]]) -> Any:
        """Do work on a connection of its own, within the time that it may take."""
        if self._client is None:
            self._client = self._pool.dedicated()
        try:
            async with asyncio.timeout(_SECONDS):
                return await work(self._client)
        except (redis.exceptions.RedisError, TimeoutError, OSError) as error:
            await self.close()
            late = isinstance(error, TimeoutError)
            reason = f"did not answer within {_SECONDS:g} s" if late else self._pool.reason(error)
            raise RedisError(self._pool.settings.address, reason) from error
        except asyncio.CancelledError:
            # The answer is still to come: nobody else may take it for his.
            await self.close()
            raise


def _head(fields: Sequence[bytes | None]) -> Head:
    """Return the head that Redis holds.

    Raises:
        ValueError: If a figure or a text is none.
        FaultyRowsError: If the journal is of another version.
        IbdeskError: If the header is none of a journal.
    """
    token, name, header, host, order_ids, fault, beats = (field or b"" for field in fields)
    decoded = decode_header(header)
    if decoded.schema != SCHEMA_VERSION:
        raise FaultyRowsError(f"it is of schema {decoded.schema}, this version of ibdesk reads {SCHEMA_VERSION}")
    journal = StreamedJournal(token=int(token), name=name.decode(), header=decoded, host=host.decode())
    return Head(journal=journal, order_ids=int(order_ids), fault=fault.decode(), beats=int(beats))
