"""The current journal of a desk in Redis: the events that changed books, for engines on other machines.

Each journal is its own stream, whose messages have the numbers of its events, and a head names the journal to continue
from. Nothing is trimmed: the rest would make no sense without a single event. The writer states the event that it
believes to be the last one there, and nothing is written if that is wrong: so a repeat changes nothing, a Redis that
has lost events receives them again, and the stream never has a gap. A journal becomes the head, and the one before it
is removed, once all of it is there, unless a later engine has taken the head.
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

# Approximate bytes of one message to or from Redis; a larger event goes alone, up to `_MOST_ROW_BYTES`.
MESSAGE_BYTES = 256 * 1024
_MOST_ROW_BYTES = 64 * 1024 * 1024
# A stream that never became the head, because its engine died, is removed after this time.
_UNFINISHED_MS = 3_600_000
# Longer than the limit of other calls: nothing waits for these, and a large event must also pass a slow line.
_SECONDS = 5.0

# All answers begin with a word. The arguments name the journal, the last event there, and the events after it.
# The field `life` holds the journal's name: versions before schema 5 look for it there.
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
    """A journal in Redis: the token of its engine's lease, the file's name, its header, and the machine."""

    token: int
    name: str
    header: JournalHeader
    host: str


class Head(msgspec.Struct, frozen=True, kw_only=True):
    """The journal to continue from, as its engine last reported it.

    Order ids up to `order_ids` may have been used. `fault` says why the events in Redis are incomplete, or is empty.
    `beats` grows as long as the engine sends anything.
    """

    journal: StreamedJournal
    order_ids: int
    fault: str
    beats: int


class JournalReplacedError(IbdeskError):
    """A later engine has its journal in Redis: this one's is obsolete."""


class JournalStream:
    """The journals of one lease, written by the leader and read by standbys; belongs to one event loop."""

    def __init__(self, pool: RedisPool, office: str) -> None:
        self._pool = pool
        # In braces, so that a cluster keeps these keys together.
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
        """Write the rows after the event `after`, and return the number of the last event there, 0 for none.

        If that is not the last of `rows`, nothing was written: continue after that number. With `is_whole` these are
        the last rows, and the journal becomes the head. When it raises, the rows may still have arrived.

        Raises:
            RedisError: If Redis cannot take them now.
            JournalReplacedError: If a later engine has its journal there.
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
        """Return the head, or None, and a piece of the rows after the event `after`.

        There are rows only if the head's journal is `name`. Call again until none comes.

        Raises:
            RedisError: If Redis cannot be read now.
            FaultyRowsError: If its content is not that of a desk.
        """
        limits = (MESSAGE_BYTES, _MOST_ROW_BYTES)
        fields, found = await self._bounded(lambda client: client.eval(_READING, 1, self._head, name, after, *limits))
        if fields[1] is None:
            return None, []
        try:
            return _head(fields), [msgspec.msgpack.decode(data, type=BookRow) for data in found]
        except (msgspec.DecodeError, IbdeskError, ValueError) as error:
            raise FaultyRowsError(f"the earlier journal in Redis cannot be read: {error}") from None

    async def close(self) -> None:
        """Close the connection."""
        client, self._client = self._client, None
        if client is not None:
            with contextlib.suppress(redis.exceptions.RedisError, OSError):
                await client.aclose()

    async def _bounded(self, work: Callable[[Client], Awaitable[Any]]) -> Any:
        """Run `work` on the stream's own connection, within its time limit."""
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
            # The answer is still to come: no later call may receive it.
            await self.close()
            raise


def _head(fields: Sequence[bytes | None]) -> Head:
    """Return the head from its fields in Redis.

    Raises:
        ValueError: If a number or text is malformed.
        FaultyRowsError: If the journal has another schema.
        IbdeskError: If the header is not that of a journal.
    """
    token, name, header, host, order_ids, fault, beats = (field or b"" for field in fields)
    decoded = decode_header(header)
    if decoded.schema != SCHEMA_VERSION:
        raise FaultyRowsError(f"it has schema {decoded.schema}, this version of ibdesk reads {SCHEMA_VERSION}")
    journal = StreamedJournal(token=int(token), name=name.decode(), header=decoded, host=host.decode())
    return Head(journal=journal, order_ids=int(order_ids), fault=fault.decode(), beats=int(beats))
