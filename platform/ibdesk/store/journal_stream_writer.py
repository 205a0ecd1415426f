"""Writing a journal into Redis, piece by piece, from the last event that Redis has."""

from __future__ import annotations

from collections.abc import Callable

from ibdesk.store.journal_reader import JournalReader
from ibdesk.store.journal_stream import MESSAGE_BYTES, JournalStream, StreamedJournal

_MEGABYTE = 1_000_000


class JournalStreamWriter:
    """Knows how much of one journal is in Redis, and sends the rest. Rows sent twice are there once."""

    def __init__(
        self,
        stream: JournalStream,
        journal: JournalReader,
        streamed: StreamedJournal,
        *,
        order_ids: Callable[[], int],
        most_megabytes: int,
    ) -> None:
        """Make a writer.

        Args:
            stream: The target.
            journal: The journal to write.
            streamed: Its identity in Redis.
            order_ids: Returns the number up to which order ids may have been used.
            most_megabytes: A larger journal is given up: standbys learn that it is incomplete.
        """
        self.fault = ""
        self._stream, self._journal, self._streamed, self._order_ids = stream, journal, streamed, order_ids
        self._most_megabytes = most_megabytes
        # The last event known to be in Redis, and the bytes up to it.
        self._after = self._size = 0

    @property
    def has_news(self) -> bool:
        """Return whether the journal holds more than Redis."""
        return not self.fault and self._journal.last_book_number > self._after

    async def send(self) -> bool:
        """Send the next piece, or only a beat if there is none; return whether everything has arrived.

        Raises:
            RedisError: If Redis cannot take it now; the next call continues.
            JournalReplacedError: If a later engine has its journal there.
            JournalError: If the journal cannot be read.
        """
        newest = self._journal.last_book_number
        rows = [] if self.fault else self._journal.book_rows(self._after, at_most_bytes=MESSAGE_BYTES)
        size = self._size + sum(row.size for row in rows)
        if size > _MEGABYTE * self._most_megabytes:
            self.fault = f"its journal exceeded redis.journal_megabytes, {self._most_megabytes}, at event {self._after}"
            rows, size = [], self._size
        last = rows[-1].number if rows else self._after
        is_whole = last >= newest or bool(self.fault)
        arrived = await self._stream.append(
            self._streamed, rows, after=self._after, is_whole=is_whole, order_ids=self._order_ids(), fault=self.fault
        )
        self._after, self._size = arrived, size if arrived == last else self._journal.book_bytes(arrived)
        return is_whole and arrived == last
