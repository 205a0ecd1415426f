"""The messages of the desk port: one msgpack map each, told apart by `type`.

A conversation goes like this (``C`` is the client, ``D`` the desk's side)::

    D  welcome {schema, program, epoch}                    at once
    C  call {number, operation, arguments, correlation_id, begin_by_ns, seconds}
    D  answer {number, value}  or  failure {number, error, arguments, text}
    C  watch {number}
    D  state {number, state}                               where the feed stands
    D  news {batches}                                      all that follows it, with no hole
    D  state {number: 0, state}                            at any time: start over from it
    D  pulse {}                                            when nothing else was said for a while

A command takes effect before its deadline or never. Over a socket both sides have one clock, that of the machine, and
`begin_by_ns` is a time of it. Machines that share a Redis need not have one: there the command's age is what Redis's
clock says has passed since it took the command in, and `seconds` is how old it may be.

Answers come in the order in which they are ready, not in that of the calls.
"""

from __future__ import annotations

from typing import TypeVar

import msgspec

from ibdesk.errors import DeskError
from ibdesk.store import Batch, FeedState

SCHEMA = 2
"""The version of these messages; each side refuses another one."""

LONGEST_CALL = 4 * 1024 * 1024
"""How many bytes a client's message may have."""

LONGEST_ANSWER = 512 * 1024 * 1024
"""How many bytes the desk's message may have: the state of a long day is the longest."""

HEARTBEAT_SECONDS = 1.0
"""How often the desk's side shows that it lives; after three times as long without a word it is taken for dead."""


class _Message(msgspec.Struct, frozen=True, kw_only=True, tag_field="type"):
    """What every message shares: its kind stands under `type`."""


class Call(_Message, frozen=True, tag="call"):
    """Client: do this operation; `arguments` are by name, in the form of `values`.

    A command has a deadline, `begin_by_ns` by the machine's clock, which is in `seconds`; a question has 0 in both.
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
    """Desk: this is who speaks; `epoch` is the feed's, another one at each start of the engine."""

    program: str
    epoch: str
    schema: int = SCHEMA


class Answer(_Message, frozen=True, tag="answer"):
    """Desk: it is done; `value` is in the form of `values`."""

    number: int
    value: msgspec.Raw


class Failure(_Message, frozen=True, tag="failure"):
    """Desk: it could not be done; `error` names the class, `arguments` are its facts, `text` is its sentence."""

    number: int
    error: str
    arguments: list[str | float | int | bool | None]
    text: str


class State(_Message, frozen=True, tag="state"):
    """Desk: this is where the feed stands; with number 0 nobody has asked, and what you had is of no use any more."""

    number: int
    state: FeedState


class BatchMessage(_Message, frozen=True, tag="news"):
    """Desk: what has happened since; batches that you know already are to be passed over."""

    batches: list[Batch]


class Heartbeat(_Message, frozen=True, tag="pulse"):
    """Desk: I am still here."""


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
    """Return what a client said.

    Raises:
        DeskError: If it is no message of this protocol.
    """
    return _decode(_CLIENT_DECODER, data)


def decode_desk_message(data: bytes) -> DeskMessage:
    """Return what the desk's side said.

    Raises:
        DeskError: If it is no message of this protocol.
    """
    return _decode(_DESK_DECODER, data)


def _decode(decoder: msgspec.msgpack.Decoder[_Kind], data: bytes) -> _Kind:
    try:
        return decoder.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise DeskError(f"the other side of the desk port does not speak its protocol: {error}") from None
