"""The messages of the feed: one msgpack map each, in a binary WebSocket frame, told apart by `type`.

A connection goes like this (``S`` is the server, ``C`` the client)::

    C  auth {key}                                  only when neither a header nor a cookie has said who it is
    S  hello {schema, epoch, server_time_ns, heartbeat_seconds, topics: [{name, key, conflated}]}
    C  subscribe {topics, symbols, epoch, since}   absent topics: all; absent symbols: all
    S  snapshot {topic, seq, columns}              once per topic, the state at `seq`
    S  delta {topic, seq, columns}                 every change after it
    C  unsubscribe {topics}
    S  ping {at_ns}  /  C  pong {at_ns}            when nothing else was said for `heartbeat_seconds`
    C  ping {at_ns}  /  S  pong {at_ns}            at any time; the answer repeats `at_ns`
    S  error {text}                                what was wrong with a message; the connection ends
    S  bye {code, reason}                          the connection ends; the close frame repeats both

`columns` maps a column's name to the list of its values, all of one length; an empty map is no row at all. A row
replaces an earlier one with equal values in the columns that `hello` calls the topic's `key`. Times are integer
nanoseconds UTC in columns named ``..._ns``; a figure that is not known is nil.

`seq` counts the batches of a topic within an `epoch` (one life of the server). On topics that are not conflated it
goes up by exactly one from message to message, also when a symbol filter leaves a batch empty: a hole is a fault.
On conflated topics it may jump; the message then holds the newest row of everything that changed in between.

To resume after a lost connection a client subscribes with the `epoch` and, in `since`, the last `seq` it has of each
topic. What it missed follows as deltas; where the server no longer has it all, a snapshot comes instead.
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

from ibdesk.store.feed import Topic

SCHEMA = 1
"""The version of these messages; a client refuses another one."""

MAX_MESSAGE_BYTES = 65_536
"""How long a client's message may be; the connection of a longer one is closed with 1009."""

GOING_AWAY = 1001
NOT_BINARY = 1003
MALFORMED = 1007
NOT_ALLOWED = 1008
TRY_AGAIN_LATER = 1013

_Key = Annotated[str, msgspec.Meta(max_length=512)]
_Symbol = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
_Seq = Annotated[int, msgspec.Meta(ge=0)]


class _Message(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="type"):
    """What every message shares: its kind stands under `type`."""


class Auth(_Message, frozen=True, tag="auth"):
    """Client: this is who I am."""

    key: _Key


class Subscribe(_Message, frozen=True, tag="subscribe"):
    """Client: send these topics, from now on only for these symbols; named again, a topic starts over."""

    topics: list[Topic] | None = None
    symbols: Annotated[list[_Symbol], msgspec.Meta(max_length=1_000)] | None = None
    epoch: Annotated[str, msgspec.Meta(max_length=64)] = ""
    since: dict[Topic, _Seq] = {}


class Unsubscribe(_Message, frozen=True, tag="unsubscribe"):
    """Client: send these topics no more; absent topics are all."""

    topics: list[Topic] | None = None


class Ping(_Message, frozen=True, tag="ping"):
    """Either side: are you there?"""

    at_ns: int = 0


class Pong(_Message, frozen=True, tag="pong"):
    """Either side: yes; `at_ns` is that of the ping."""

    at_ns: int = 0


class TopicInfo(msgspec.Struct, frozen=True):
    """What a client must know of a topic to keep a table of it."""

    name: str
    key: tuple[str, ...]
    conflated: bool


class Hello(_Message, frozen=True, tag="hello"):
    """Server: you are welcome; this is how I speak."""

    epoch: str
    server_time_ns: int
    heartbeat_seconds: float
    topics: list[TopicInfo]
    schema: int = SCHEMA


class Snapshot(_Message, frozen=True, tag="snapshot"):
    """Server: the state of a topic at `seq`; forget what you had."""

    topic: Topic
    seq: int
    columns: dict[str, list[Any]]


class Delta(_Message, frozen=True, tag="delta"):
    """Server: what changed in a topic up to `seq`."""

    topic: Topic
    seq: int
    columns: dict[str, list[Any]]


class Error(_Message, frozen=True, tag="error"):
    """Server: what was wrong with your message."""

    text: str


class Bye(_Message, frozen=True, tag="bye"):
    """Server: the connection ends, and why."""

    code: int
    reason: str


ClientMessage = Auth | Subscribe | Unsubscribe | Ping | Pong
ServerMessage = Hello | Snapshot | Delta | Ping | Pong | Error | Bye

_ENCODER = msgspec.msgpack.Encoder()
_DECODER: msgspec.msgpack.Decoder[ClientMessage] = msgspec.msgpack.Decoder(ClientMessage)


class ProtocolError(Exception):
    """A client's message breaks the protocol; the connection is closed with `code`."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(code, text)
        self.code, self.text = code, text

    def __str__(self) -> str:
        return self.text


def encode(message: ServerMessage | ClientMessage) -> bytes:
    """Return the message's bytes on the wire."""
    return _ENCODER.encode(message)


def decode_client_message(data: bytes) -> ClientMessage:
    """Return the message that a client sent.

    Raises:
        ProtocolError: If it is no msgpack, no known kind, or a field is missing, unknown or out of bounds.
    """
    try:
        return _DECODER.decode(data)
    except msgspec.ValidationError as error:
        raise ProtocolError(MALFORMED, f"the message is not understood: {error}") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ProtocolError(MALFORMED, f"the message is no msgpack: {error}") from None
