"""A recorded conversation: a file of JSON lines, one per message, in the order of the messages.

The first line names the format. Every other line is an `ConversationEntry`. Its `fields` are those of the message
between the zero bytes of the wire, with the message's number first. Account ids are masked; nothing else is changed.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import msgspec

from ibdesk.errors import DataError
from ibdesk.gateway.protocol.framing import integer

FORMAT, FORMAT_VERSION = "ibdesk conversation", 1
MAX_LINE_BYTES = 64 << 20
MAX_ENTRIES = 5_000_000


class By(enum.Enum):
    """The side that sent a message or hung up."""

    CLIENT = "client"
    TWS = "tws"


class Header(msgspec.Struct, frozen=True):
    """The first line of the file."""

    format: str
    version: int


class ConversationEntry(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """One message, or the end of a connection.

    `at` are seconds since the recording began, `link` numbers the connections from 1, `client` is the client id once it
    is known. A message is in `fields`; the client's version line, which has none, in `text`. Of a binary message
    (server version 201 and above) only the length is kept, in `binary`. `ended` marks the end; `by` hung up.
    """

    at: float
    link: int
    by: By
    client: int = -1
    fields: list[str] | None = None
    text: str | None = None
    binary: int | None = None
    ended: bool = False


class RecordedConnection(msgspec.Struct, frozen=True):
    """One recorded connection: its entries from the client's version line on."""

    number: int
    client_id: int
    version: int
    entries: tuple[ConversationEntry, ...]


class Conversation(msgspec.Struct, frozen=True):
    """A recording as a whole, connection by connection."""

    links: tuple[RecordedConnection, ...]


def read_conversation(path: Path) -> Conversation:
    """Return a recorded conversation.

    Raises:
        DataError: If the file cannot be read, is not a recording, or has nothing that can be played.
    """
    try:
        with path.open("rb") as file:
            entries = list(_entries(file, path))
    except OSError as error:
        raise DataError(f"{path}: the recording cannot be read: {error.strerror or error}") from None
    numbers = dict.fromkeys(entry.link for entry in entries)
    links = [_link(number, [entry for entry in entries if entry.link == number]) for number in numbers]
    playable = tuple(link for link in links if link is not None)
    if not playable:
        raise DataError(f"{path}: the recording holds no connection that went as far as startApi in the text protocol")
    return Conversation(playable)


def _entries(file: IO[bytes], path: Path) -> Iterator[ConversationEntry]:
    reads_header, reads_entry = msgspec.json.Decoder(Header), msgspec.json.Decoder(ConversationEntry)
    number = 0
    try:
        while text := file.readline(MAX_LINE_BYTES):
            number += 1
            if number == 1:
                header = reads_header.decode(text)
                if (header.format, header.version) != (FORMAT, FORMAT_VERSION):
                    raise DataError(f"{path}: it is a {header.format} of version {header.version}, not {FORMAT} 1")
            elif number > MAX_ENTRIES:
                raise DataError(f"{path}: the recording has more than {MAX_ENTRIES:,} messages")
            else:
                yield reads_entry.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise DataError(f"{path}, line {number}: this is not a line of a recording: {error}") from None


def _link(number: int, entries: list[ConversationEntry]) -> RecordedConnection | None:
    """Return a connection; None if it ended before startApi or used binary messages."""
    versions = [entry.fields for entry in entries if entry.by is By.TWS and entry.fields]
    starts = [entry.fields for entry in entries if entry.by is By.CLIENT and entry.fields]
    version = integer(versions[0][0]) if versions else None
    if version is None or not starts or starts[0][0] != "71" or len(starts[0]) < 3:
        return None
    if any(entry.binary is not None for entry in entries):
        return None
    client = integer(starts[0][2])
    return RecordedConnection(number, -1 if client is None else client, version, tuple(entries))
