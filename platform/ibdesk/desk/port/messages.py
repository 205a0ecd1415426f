"""The messages of the desk port: one msgpack map each, distinguished by `type`.

A typical exchange (``C`` is the client, ``D`` the desk's side)::

    D  welcome {schema, program, epoch}                    at once
    C  call {number, operation, arguments, correlation_id, begin_by_ns, seconds}
    D  answer {number, value}  or  failure {number, error, arguments, text}
    C  watch {number}
    D  state {number, state}                               the state of the feed
    D  news {batches}                                      everything after it, without a gap
    D  state {number: 0, state}                            at any time: start again from it
    D  pulse {}                                            after a while without another message

A command takes effect before its deadline or never. Over a socket both sides share the machine's clock, and
`begin_by_ns` is a time of that clock. Machines that share a Redis may have different clocks: there a command's age is
the time by Redis's clock since Redis received it, and `seconds` is its highest age.

Answers come in the order in which they are ready, not in the order of the calls.
"""

from __future__ import annotations

from typing import TypeVar

import msgspec

from ibdesk.errors import DeskError
from ibdesk.store import Batch, FeedState

SCHEMA = 2
"""The version of the protocol; each side refuses others."""

LONGEST_CALL = 4 * 1024 * 1024
"""The limit of a client's message, bytes."""

LONGEST_ANSWER = 512 * 1024 * 1024
"""The limit of the desk's message, bytes: the state of a long day is the longest."""

HEARTBEAT_SECONDS = 1.0
"""The period of the desk's heartbeats; a client counts the desk as dead after several that are missing."""


class _Message(msgspec.Struct, frozen=True, kw_only=True, tag_field="type"):
    """The base of all messages; `type` names the kind."""


class Call(_Message, frozen=True, tag="call"):
    """Client: run this operation; `arguments` are by name, encoded by `values`.

    A command has a deadline: `begin_by_ns` by the machine's clock, which is in `seconds`. A query has 0 in both.
    """

    number: int
    operation: str
    arguments: msgspec.Raw
    correlation_id: str = ""
    begin_by_ns: int = 0
    seconds: float = 0.0


class Watch(_Message, frozen=True, tag="watch"):
    """Client: send the feed from now on; the state at which it begins carries the same number."""

    number: int


class Welcome(_Message, frozen=True, tag="welcome"):
    """Desk: its program and version; `epoch` is the feed's, which changes at each start of the engine."""

    program: str
    epoch: str
    schema: int = SCHEMA


class Answer(_Message, frozen=True, tag="answer"):
    """Desk: the operation is done; `value` is encoded by `values`."""

    number: int
    value: msgspec.Raw


class Failure(_Message, frozen=True, tag="failure"):
    """Desk: the operation failed; `error` names the class, `arguments` are its facts, `text` is its message."""

    number: int
    error: str
    arguments: list[str | float | int | bool | None]
    text: str


class State(_Message, frozen=True, tag="state"):
    """Desk: the state of the feed. Number 0 was not requested: the client must discard its state and use this one."""

    number: int
    state: FeedState


class BatchMessage(_Message, frozen=True, tag="news"):
    """Desk: the batches since; the client must ignore batches that it already has."""

    batches: list[Batch]


class Heartbeat(_Message, frozen=True, tag="pulse"):
    """Desk: a sign of life."""


ClientMessage = Call | Watch
DeskMessage = Welcome | Answer | Failure | State | BatchMessage | Heartbeat

_Kind = TypeVar("_Kind")
_ENCODER = msgspec.msgpack.Encoder()
_CLIENT_DECODER: msgspec.msgpack.Decoder[ClientMessage] = msgspec.msgpack.Decoder(ClientMessage)
_DESK_DECODER: msgspec.msgpack.Decoder[DeskMessage] = msgspec.msgpack.Decoder(DeskMessage)


def encode(message: ClientMessage | DeskMessage) -> bytes:
    """Return the message's bytes."""
    return _ENCODER.encode(message)


def decode_client_message(data: bytes) -> ClientMessage:
    """Return a client's message.

    Raises:
        DeskError: If it is not a message of this protocol.
    """
    return _decode(_CLIENT_DECODER, data)


def decode_desk_message(data: bytes) -> DeskMessage:
    """Return a message of the desk's side.

    Raises:
        DeskError: If it is not a message of this protocol.
    """
    return _decode(_DESK_DECODER, data)


def _decode(decoder: msgspec.msgpack.Decoder[_Kind], data: bytes) -> _Kind:
    try:
        return decoder.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise DeskError(f"the other side of the desk port does not speak its protocol: {error}") from None
