"""The messages of the feed: one msgpack map each, in a binary WebSocket frame, told apart by `type`.

A connection goes like this (``S`` is the server, ``C`` the client)::

    C  auth {key}                                   only if neither a header nor a cookie authenticated it
    S  hello {schema, server_time_ns, heartbeat_seconds, desk, desk_at_ns, topics: [{name, key, conflated}]}
    C  subscribe {topics, symbols, owners}          absent topics: all; absent symbols or owners: all
    C  subscribe {token}                            continue where an earlier connection stopped
    S  snapshot {topic, epoch, seq, columns}        once per topic, the state at `seq`
    S  delta {topic, after, seq, columns}           every change since `after`, up to `seq`
    C  unsubscribe {topics}
    S  ping {at_ns, lag_ms, lag_bytes, skipped}     every `heartbeat_seconds`
    C  pong {at_ns}
    C  ping {at_ns}  /  S  pong {at_ns}             at any time; the answer repeats `at_ns`
    S  status {desk, at_ns, detail}                 the desk is away, or attached again
    S  warning {text}                               too much was sent; the next time the connection ends
    S  error {text}                                 what was wrong with a message; the connection ends
    S  bye {code, reason}                           the connection ends; the close frame repeats both

`columns` maps a column's name to the list of its values, all of one length; an empty map has no rows. A row
replaces an earlier one with equal values in the columns that `hello` calls the topic's `key`. Times are integer
nanoseconds UTC in columns named ``..._ns``; an unknown number is nil.

`seq` counts the batches of a topic within an `epoch`, one generation of the engine's numbering: all servers of one desk
use the same numbers. A delta continues the client's state: its `after` is the `seq` of the topic's previous message.
Anything else is a fault, and the client must reconnect. On conflated topics, a delta contains the newest row of every
key that changed in between; on the others, every row.

`symbols` and `owners` are names or patterns (``*`` any characters, ``?`` one), 1,000 at most, 32 of them patterns;
an owner is a run or "" for the whole account. A topic named again starts over.

**Resuming.** A client stores a token (see `ibdesk_server.feed.token`) with the epoch, the last `seq` of each topic and
the subscription. Missed changes follow as deltas. If the server no longer has all of them, or is in another epoch, it
sends a snapshot instead.

**Lag.** `ping` reports the client's lag since the previous ping: the longest lag in ms, the largest backlog in bytes,
and the total number of skipped batches of conflated topics.

**Close codes.** 1001 the server ends · 1003 a text frame · 1007 a message that is not valid · 1008 not allowed:
wrong key, no key in time, too much sent · 1009 a message over 64 KiB · 1013 try again later: too slow, or no
place · 4401 the login has ended. After 1003, 1007, 1008 and 1009, reconnecting does not help.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, get_args

import msgspec

from ibdesk.store.feed import Topic
from ibdesk_server.strict import did_you_mean

SCHEMA = 2
"""The version of these messages; a client refuses another one."""

MAX_MESSAGE_BYTES = 65_536
"""Maximum size of a client's message; a longer one closes the connection with 1009."""

GOING_AWAY = 1001
NOT_BINARY = 1003
MALFORMED = 1007
NOT_ALLOWED = 1008
TOO_LONG = 1009
TRY_AGAIN_LATER = 1013
LOGIN_ENDED = 4401
"""The key or login that opened the connection has expired or was revoked; another one may do."""

FINAL_CODES = frozenset({NOT_BINARY, MALFORMED, NOT_ALLOWED, TOO_LONG})
"""Codes after which reconnecting does not help."""

_Key = Annotated[str, msgspec.Meta(max_length=4_096)]
_Word = Annotated[str, msgspec.Meta(max_length=64)]
_Token = Annotated[str, msgspec.Meta(max_length=49_152)]


class _Message(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="type"):
    """The base of all messages; the field `type` names the kind."""


class Auth(_Message, frozen=True, tag="auth"):
    """Client: authenticate with a key or access token."""

    key: _Key


class Subscribe(_Message, frozen=True, tag="subscribe"):
    """Client: subscribe to these topics, for these symbols and owners only; or to the subscription of the token."""

    topics: list[_Word] | None = None
    symbols: list[_Word] | None = None
    owners: list[_Word] | None = None
    token: _Token = ""


class Unsubscribe(_Message, frozen=True, tag="unsubscribe"):
    """Client: unsubscribe from these topics; absent topics mean all."""

    topics: list[_Word] | None = None


class Ping(_Message, frozen=True, tag="ping"):
    """Either side: check the connection. From the server, it also reports the client's lag."""

    at_ns: int = 0
    lag_ms: float = 0.0
    lag_bytes: int = 0
    skipped: int = 0


class Pong(_Message, frozen=True, tag="pong"):
    """Either side: the answer to a ping; `at_ns` is that of the ping."""

    at_ns: int = 0


class TopicInfo(msgspec.Struct, frozen=True):
    """The data that a client needs to keep a table of a topic."""

    name: str
    key: tuple[str, ...]
    conflated: bool


class Hello(_Message, frozen=True, tag="hello"):
    """Server: the first message: protocol version and topics. `desk` and `desk_at_ns` are those of `Status`."""

    server_time_ns: int
    heartbeat_seconds: float
    topics: list[TopicInfo]
    desk: str
    desk_at_ns: int = 0
    schema: int = SCHEMA


class Status(_Message, frozen=True, tag="status"):
    """Server: the desk is "attached" (updates arrive) or "away" (the feed is from memory), since `at_ns`."""

    desk: str
    at_ns: int
    detail: str = ""


class Snapshot(_Message, frozen=True, tag="snapshot"):
    """Server: the state of a topic at `seq`; it replaces the client's state, of all topics if the epoch differs."""

    topic: Topic
    epoch: str
    seq: int
    columns: dict[str, list[Any]]


class Delta(_Message, frozen=True, tag="delta"):
    """Server: the changes of a topic after `after`, up to `seq`."""

    topic: Topic
    after: int
    seq: int
    columns: dict[str, list[Any]] | msgspec.Raw


class Warn(_Message, frozen=True, tag="warning"):
    """Server: a violation that ends the connection if it is repeated."""

    text: str


class Error(_Message, frozen=True, tag="error"):
    """Server: the fault in the client's message."""

    text: str


class Bye(_Message, frozen=True, tag="bye"):
    """Server: the connection ends, with the reason."""

    code: int
    reason: str


ClientMessage = Auth | Subscribe | Unsubscribe | Ping | Pong
ServerMessage = Hello | Status | Snapshot | Delta | Ping | Pong | Warn | Error | Bye

_ENCODER = msgspec.msgpack.Encoder()
_UNKNOWN_FIELD = re.compile(r"unknown field `([^`]{1,100})`")
_CLIENT_FIELDS = {name for kind in get_args(ClientMessage) for name in kind.__struct_fields__}
_DECODER: msgspec.msgpack.Decoder[ClientMessage] = msgspec.msgpack.Decoder(ClientMessage)


class FeedProtocolError(Exception):
    """A client's message breaks the protocol; the connection is closed with `code`."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(code, text)
        self.code, self.text = code, text

    def __str__(self) -> str:
        return self.text


def encode(message: ServerMessage | ClientMessage) -> bytes:
    """Encode a message."""
    return _ENCODER.encode(message)


def decode_client_message(data: bytes) -> ClientMessage:
    """Decode a client's message.

    Raises:
        FeedProtocolError: If it is not msgpack or of an unknown kind, or a field is missing, unknown or out of bounds.
    """
    try:
        return _DECODER.decode(data)
    except msgspec.ValidationError as error:
        raise FeedProtocolError(MALFORMED, f"the message is not valid: {error}{_hint(str(error))}") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise FeedProtocolError(MALFORMED, f"the message is not msgpack: {error}") from None


def _hint(fault: str) -> str:
    """Return a hint at the field that was probably meant."""
    found = _UNKNOWN_FIELD.search(fault)
    return "" if found is None else f"; {did_you_mean(found[1], _CLIENT_FIELDS)}"


def topic_named(name: str) -> Topic:
    """Return the topic with this name.

    Raises:
        FeedProtocolError: If there is none; the message lists all topics.
    """
    try:
        return Topic(name)
    except ValueError:
        names = ", ".join(topic.value for topic in Topic)
        raise FeedProtocolError(MALFORMED, f"there is no topic {name!r}; the topics are: {names}") from None
