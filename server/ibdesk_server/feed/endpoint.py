"""The WebSocket at ``/feed``: lets a client in, hears what it asks for, and says why it goes."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time

from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketDisconnect

from ibdesk_server.feed.hub import FeedHub
from ibdesk_server.feed.protocol import (
    NOT_ALLOWED,
    NOT_BINARY,
    TRY_AGAIN_LATER,
    Auth,
    Bye,
    ClientMessage,
    Error,
    Ping,
    Pong,
    ProtocolError,
    Subscribe,
    Unsubscribe,
    decode_client_message,
    encode,
)
from ibdesk_server.feed.subscriber import Farewell, Subscriber
from ibdesk_server.feed.transport import FORCE_CLOSE
from ibdesk_server.security.guard import Security
from ibdesk_server.security.presented import presented_secret
from ibdesk_server.security.principal import Principal

_log = logging.getLogger(__name__)

FEED_PATH = "/feed"

# How long the last words to a client may take.
_LAST_WORDS_SECONDS = 0.25
_WRONG_KEY = "this API key is not valid"


class FeedMiddleware:
    """Serves the feed at its path and leads everything else on.

    A route would put the framework's layers between each frame and the socket, for every client.
    """

    def __init__(self, app: ASGIApp, feed: FeedEndpoint) -> None:
        self._app, self._feed = app, feed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve an ASGI connection."""
        is_feed = scope["type"] == "websocket" and scope["path"] == FEED_PATH
        await (self._feed if is_feed else self._app)(scope, receive, send)


class FeedEndpoint:
    """The feed as an ASGI application."""

    def __init__(self, hub: FeedHub, security: Security) -> None:
        self._hub, self._security = hub, security

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one client until it or the server ends the connection."""
        websocket = WebSocket(scope, receive, send)
        if not self._security.allows_origin(websocket.headers):
            await websocket.close(NOT_ALLOWED, "this origin may not read the feed")
            return
        await websocket.accept()
        subscriber = self._hub.join()
        if subscriber is None:
            await _say_goodbye(websocket, Farewell(TRY_AGAIN_LATER, "the server takes no more feed clients now"))
            return
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(subscriber.until_cut())
                tasks.create_task(subscriber.deliver(send))
                tasks.create_task(_listen(websocket, subscriber, self._hub, self._security))
        except* Farewell as farewells:
            await _say_goodbye(websocket, _first(farewells))
        except* (WebSocketDisconnect, OSError):
            _log.debug("a feed client left")
        finally:
            self._hub.leave(subscriber)


async def _listen(websocket: WebSocket, subscriber: Subscriber, hub: FeedHub, security: Security) -> None:
    """Hear a client out.

    Raises:
        Farewell: When it says something that ends the connection, or nothing before it has said who it is.
        WebSocketDisconnect: When it leaves.
    """
    try:
        if await security.identify(websocket.headers) is None:
            await _authenticate(websocket, hub, security)
        await websocket.send_bytes(encode(hub.hello(time.time_ns())))
        while True:
            await _answer(await _receive(websocket), websocket, subscriber, hub)
    except ProtocolError as error:
        await websocket.send_bytes(encode(Error(text=error.text)))
        raise Farewell(error.code, error.text) from None


async def _authenticate(websocket: WebSocket, hub: FeedHub, security: Security) -> Principal:
    if presented_secret(websocket.headers) is not None:
        raise ProtocolError(NOT_ALLOWED, _WRONG_KEY)
    seconds = hub.limits.auth_seconds
    try:
        async with asyncio.timeout(seconds):
            message = await _receive(websocket)
    except TimeoutError:
        raise ProtocolError(NOT_ALLOWED, f"no auth message within {seconds:g} s") from None
    if not isinstance(message, Auth):
        raise ProtocolError(NOT_ALLOWED, "the first message must be auth, with the API key as `key`")
    principal = await security.principal_of(message.key)
    if principal is None:
        raise ProtocolError(NOT_ALLOWED, _WRONG_KEY)
    return principal


async def _answer(message: ClientMessage, websocket: WebSocket, subscriber: Subscriber, hub: FeedHub) -> None:
    match message:
        case Subscribe():
            subscriber.subscribe(message, hub.epoch)
        case Unsubscribe():
            subscriber.unsubscribe(message)
        case Ping(at_ns=at_ns):
            await websocket.send_bytes(encode(Pong(at_ns=at_ns)))
        case Auth() | Pong():
            return


async def _receive(websocket: WebSocket) -> ClientMessage:
    message = await websocket.receive()
    if message["type"] == "websocket.disconnect":
        raise WebSocketDisconnect(message.get("code", 1005))
    data = message.get("bytes")
    if data is None:
        raise ProtocolError(NOT_BINARY, "messages must be msgpack in binary frames, this one was text")
    return decode_client_message(data)


async def _say_goodbye(websocket: WebSocket, farewell: Farewell) -> None:
    """Tell the client why it goes; one that takes no more bytes gets the close frame alone."""
    with contextlib.suppress(WebSocketDisconnect):
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LAST_WORDS_SECONDS):
                await websocket.send_bytes(encode(Bye(code=farewell.code, reason=farewell.reason)))
        force_close = websocket.scope["extensions"].get(FORCE_CLOSE)
        if force_close is not None:
            force_close["callback"]()
        await websocket.close(farewell.code, _short(farewell.reason))


def _first(farewells: BaseExceptionGroup[Farewell]) -> Farewell:
    error = farewells.exceptions[0]
    return error if isinstance(error, Farewell) else _first(error)


def _short(reason: str) -> str:
    """Return what fits into a close frame: 123 bytes of UTF-8 (RFC 6455, 5.5)."""
    return reason.encode()[:123].decode(errors="ignore")
