"""One connected client: greeting, framing, dispatch of its requests, and its outgoing bytes."""

from __future__ import annotations

import asyncio
import enum
import logging
from collections.abc import Callable, Mapping
from typing import Protocol, cast

from ibdesk.gateway.bursts import Bursts
from ibdesk.gateway.listening import MessageListener
from ibdesk.gateway.pacing import unlimited
from ibdesk.gateway.protocol.codec import Fields, Value, decode, encode, plan_of
from ibdesk.gateway.protocol.fields import Field, MessageSpec
from ibdesk.gateway.protocol.framing import FrameReader, ProtocolError, frame, integer, split
from ibdesk.gateway.protocol.greeting import GREETING, HIGHEST_VERSION, agreed
from ibdesk.gateway.protocol.incoming import INCOMING, REQUEST_ID_AT
from ibdesk.gateway.protocol.outgoing import OUTGOING_BY_NAME
from ibdesk.gateway.protocol.unread import unread
from ibdesk.gateway.refusal import RefusedError, invalid
from ibdesk.gateway.throttle import MessageThrottle

_log = logging.getLogger(__name__)

# The maximum number of digits of a message's number.
_NUMBER_DIGITS = 5

RequestMethod = Callable[[Fields], None]


class SessionState(enum.Enum):
    """The progress of a connection."""

    GREETING = "greeting"
    """The socket is open; the client has not sent its versions yet."""
    VERSIONED = "versioned"
    """The version is agreed; nothing may be sent before the client's startApi."""
    OPEN = "open"
    """The client id is known, and requests are answered."""
    CLOSED = "closed"
    """The socket is closed, or will be once the unsent bytes have left."""


class RequestHandler(Protocol):
    """The part of a session that answers one kind of request."""

    def methods(self) -> Mapping[str, RequestMethod]:
        """Return the method of each request, by message name."""
        ...

    def end_subscriptions(self) -> None:
        """End every subscription of the session."""
        ...


class SessionHost(Protocol):
    """The operations that a session needs of the gateway."""

    def greets(self, session: Session) -> bool:
        """Return whether connections are accepted now."""
        ...

    def time_text(self) -> str:
        """Return the time for the handshake."""
        ...

    def clock_text(self) -> str:
        """Return hours and minutes in the format of account updates."""
        ...

    def settle(self) -> None:
        """Store all changes before a client receives them."""
        ...

    def admit(self, session: Session) -> list[RequestHandler] | None:
        """Register the session under its client id; None if the id is in use."""
        ...

    def leave(self, session: Session) -> None:
        """Forget the session."""
        ...


class Session(asyncio.Protocol):
    """A client's connection. Its messages never disturb other sessions.

    Outgoing messages are collected and written once per turn of the loop. A client that does not read is disconnected
    when more than `max_unsent_bytes` wait for it.
    """

    def __init__(self, host: SessionHost, *, max_unsent_bytes: int) -> None:
        self._max_unsent_bytes = max_unsent_bytes
        # While a fault is active, receives the outgoing frames in place of the socket; it sends them with `release`,
        # sooner or later or never.
        self.tamper: Callable[[bytes], None] | None = None
        # The reasons for which the socket is not read.
        self._stopped_by: set[object] = set()
        self._is_silent = False
        # While a fault is active, receives the requests to answer; it answers them with `serve`.
        self.sift: Callable[[bytes], None] | None = None
        self.listener: MessageListener | None = None
        # The limits of the client's requests.
        self.allowance = unlimited()
        # Counts the client's messages, if their rate is limited.
        self.throttle: MessageThrottle | None = None
        # Whether the client asked for its requests to be delayed instead of refused.
        self.is_patient = False
        self.state = SessionState.GREETING
        self.version = 0
        self.client_id = -1
        self._host = host
        self._reader = FrameReader()
        self._greeting = b""
        self._request_handlers: list[RequestHandler] = []
        self._methods: dict[str, RequestMethod] = {}
        self._unsent: list[bytes] = []
        self._bursts = Bursts()
        self._transport: asyncio.Transport | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    # ---- the socket -------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Accept the socket, or hang up if connections are refused."""
        # uvloop's transports have the methods but not the base class.
        self._transport = cast("asyncio.Transport", transport)
        self._loop = asyncio.get_running_loop()
        if not self._host.greets(self):
            self.hang_up()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        """Remove the client."""
        self._end(by_client=True)

    def data_received(self, data: bytes) -> None:
        """Receive the next bytes of the stream."""
        if self.state is SessionState.CLOSED:
            return
        if len(self._greeting) < len(GREETING):
            wanted = len(GREETING) - len(self._greeting)
            self._greeting, data = self._greeting + data[:wanted], data[wanted:]
            if not GREETING.startswith(self._greeting):
                self._refuse(f"it greets with {self._greeting!r} where a TWS client sends {GREETING!r}")
                return
        try:
            for payload in self._reader.feed(data):
                self._take(payload)
        except ProtocolError as error:
            self._refuse(str(error))

    def hang_up(self, *, at_once: bool = True) -> None:
        """Close the socket; with `at_once` unsent bytes are lost."""
        transport = self._transport
        if transport is None:
            return
        if at_once:
            transport.abort()
        else:
            self._flush()
            transport.close()
        self._end(by_client=False)

    def read(self, *, on: bool, why: object = "pacing") -> None:
        """Stop or resume reading the socket. It stays stopped while there is another reason."""
        if on:
            self._stopped_by.discard(why)
        else:
            self._stopped_by.add(why)
        if self._transport is None or self._transport.is_closing():
            return
        if self._stopped_by:
            self._transport.pause_reading()
        else:
            self._transport.resume_reading()

    def silence(self) -> None:
        """Stop sending and reading, and leave the socket open."""
        self._is_silent = True
        self.read(on=False, why="silence")

    def _end(self, *, by_client: bool) -> None:
        if self.state is SessionState.CLOSED:
            return
        self.state = SessionState.CLOSED
        if self.listener is not None:
            self.listener.disconnected(self, by_client=by_client)
        if self.throttle is not None:
            self.throttle.close()
        for request_handler in self._request_handlers:
            request_handler.end_subscriptions()
        self._host.leave(self)

    def _refuse(self, reason: str) -> None:
        _log.warning("client %s is disconnected: %s", self.client_id, reason)
        self.hang_up(at_once=False)

    # ---- incoming messages ------------------------------------------------------------------------------------

    def _take(self, payload: bytes) -> None:
        if self.listener is not None:
            self.listener.client_sent(self, payload)
        match self.state:
            case SessionState.GREETING:
                self._agree(payload.decode("ascii", "replace"))
            case SessionState.VERSIONED:
                self._start(payload)
            case SessionState.OPEN:
                if self.throttle is None:
                    self.answer(payload)
                else:
                    self.throttle.take(payload)
            case SessionState.CLOSED:
                pass

    def _agree(self, text: str) -> None:
        agreement = agreed(text)
        self.version, self.is_patient = agreement.version, agreement.is_patient
        self.state = SessionState.VERSIONED
        # Nothing may follow in the same segment: the official client would drop it.
        self.send_frame(frame(f"{self.version}\0{self._host.time_text()}\0".encode()))

    def _start(self, payload: bytes) -> None:
        texts = split(payload)
        if texts[0] != "71":
            raise ProtocolError(f"message {texts[0][:10]!r} came before startApi")
        self.client_id = Fields("startApi", decode(INCOMING[71], texts, self.version)).required("clientId")
        request_handlers = self._host.admit(self)
        if request_handlers is None:
            self.error(
                -1,
                326,
                "Unable to connect as the client id is already in use. Retry with a unique client id.",
            )
            self.hang_up(at_once=False)
            return
        self._request_handlers = request_handlers
        for request_handler in request_handlers:
            self._methods.update(request_handler.methods())

    def open(self) -> None:
        """Begin to answer requests; called after the first messages to the client."""
        self.state = SessionState.OPEN

    def answer(self, payload: bytes) -> None:
        """Answer a request, or pass it to an active fault."""
        if self.sift is not None:
            self.sift(payload)
        else:
            self.serve(payload)

    def serve(self, payload: bytes) -> None:
        """Answer a request that no fault holds back; an invalid one is answered with an error."""
        if self.state is not SessionState.OPEN:
            return
        texts: list[str] = []
        try:
            texts = split(payload)
            number = integer(texts[0], _NUMBER_DIGITS) or 0
            message = INCOMING.get(number)
            request = unread(number, texts) if message is None else self._read(message, texts)
            method = None if request is None else self._methods.get(request.name)
            if request is None or method is None:
                raise invalid(f"message {texts[0][:10]!r} is not supported")
            method(request)
        except ProtocolError as error:
            self.error(request_id_of(texts), 320, f"Error reading request. {error}")
        except RefusedError as refusal:
            addressee = request_id_of(texts) if refusal.request_id is None else refusal.request_id
            self.error(addressee, refusal.code, refusal.text)

    def _read(self, message: MessageSpec, texts: list[str]) -> Fields:
        return Fields(message.name, decode(message, texts, self.version))

    # ---- outgoing messages ------------------------------------------------------------------------------------

    def send(self, name: str, **values: Value) -> None:
        """Send the message of this name; a field without a value has its constant or is empty."""
        self.send_frame(encode(OUTGOING_BY_NAME[name], values, self.version))

    def error(self, request_id: int, code: int, text: str) -> None:
        """Send an error; request id -1 means the client as a whole."""
        # Clients interpret backslashes as escapes, and expect ASCII.
        plain = text.replace("\\", "/").encode("ascii", "replace").decode()
        self.send("errMsg", id=request_id, errorCode=code, errorMsg=plain)

    def send_frame(self, data: bytes) -> None:
        """Send complete frames in this turn of the loop, or pass them to an active fault."""
        if self.state is SessionState.CLOSED or self._loop is None:
            return
        if self.tamper is not None:
            self.tamper(data)
        else:
            self.release(data)

    def release(self, data: bytes) -> None:
        """Send complete frames that no fault holds back."""
        if self.state is SessionState.CLOSED or self._loop is None or self._is_silent:
            return
        if self.listener is not None:
            self.listener.gateway_sent(self, data)
        if not self._unsent:
            self._loop.call_soon(self._flush)
        self._unsent.append(data)

    def _flush(self) -> None:
        transport, unsent = self._transport, self._unsent
        if not unsent or transport is None or transport.is_closing():
            return
        self._host.settle()
        burst = b"".join(unsent)
        unsent.clear()
        while self._bursts.is_lost(len(burst)):
            message = OUTGOING_BY_NAME["accountUpdateTime"]
            burst += encode(message, {"time": self._host.clock_text()}, self.version)
        self._bursts.note_sent(len(burst))
        transport.write(burst)
        if transport.get_write_buffer_size() > self._max_unsent_bytes:
            _log.warning("client %s does not read: %d bytes wait for it", self.client_id, self._max_unsent_bytes)
            self.hang_up()


def request_id_of(texts: list[str]) -> int:
    """Return the request id in a message that may be malformed; -1 if it has none."""
    number = integer(texts[0], _NUMBER_DIGITS) if texts else None
    if number is None:
        return -1
    message = INCOMING.get(number)
    place = REQUEST_ID_AT.get(number) if message is None else _id_place(message)
    if place is None or place >= len(texts):
        return -1
    request_id = integer(texts[place])
    return -1 if request_id is None else request_id


def _id_place(message: MessageSpec) -> int | None:
    for place, entry in enumerate(plan_of(message, HIGHEST_VERSION), start=1):
        if isinstance(entry, Field) and entry.name in ("reqId", "orderId"):
            return place
    return None
