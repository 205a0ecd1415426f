"""The WebSocket at ``/feed``: authentication, subscriptions and the reason for closing."""

from __future__ import annotations

import asyncio
import collections
import logging

from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketDisconnect

from ibdesk_server.feed.allowance import FeedAllowance
from ibdesk_server.feed.hub import FeedHub
from ibdesk_server.feed.protocol import (
    LOGIN_ENDED,
    NOT_ALLOWED,
    NOT_BINARY,
    TRY_AGAIN_LATER,
    Auth,
    ClientMessage,
    Error,
    FeedProtocolError,
    Ping,
    Pong,
    Subscribe,
    Unsubscribe,
    Warn,
    decode_client_message,
)
from ibdesk_server.feed.subscriber import FeedSubscriber
from ibdesk_server.feed.transport import WIRE, FeedTransport
from ibdesk_server.problems import problem_response
from ibdesk_server.security.budgets import Budgets
from ibdesk_server.security.guard import Security
from ibdesk_server.security.presented import FEED_PROTOCOL, offered_protocols, presented_secret
from ibdesk_server.security.principal import Principal
from ibdesk_server.security.revocations import RevocationMonitor
from ibdesk_server.security.settings import LimitSettings

_log = logging.getLogger(__name__)

FEED_PATH = "/feed"

_WRONG_KEY = "this key or token is not valid"


class FeedMiddleware:
    """Serves the feed at its path and forwards everything else.

    A route would put the framework's layers between every message and the socket.
    """

    def __init__(self, app: ASGIApp, feed: FeedEndpoint) -> None:
        self._app, self._feed = app, feed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve an ASGI connection."""
        is_feed = scope["type"] == "websocket" and scope["path"] == FEED_PATH
        await (self._feed if is_feed else self._app)(scope, receive, send)


class FeedEndpoint:
    """The feed as an ASGI application; it needs the server of `ibdesk_server.listener`."""

    def __init__(
        self,
        hub: FeedHub,
        security: Security,
        *,
        budgets: Budgets | None = None,
        revocations: RevocationMonitor | None = None,
    ) -> None:
        self._hub, self._security, self._revocations = (
            hub,
            security,
            revocations or RevocationMonitor(security),
        )
        self._budgets = budgets or Budgets(LimitSettings())
        self._unknown: collections.Counter[str] = collections.Counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one client until it or the server ends the connection."""
        websocket = WebSocket(scope, receive, send)
        headers = websocket.headers
        if not self._security.addresses.knows_host(headers) or not self._security.allows_origin(headers):
            await websocket.close(NOT_ALLOWED, "this origin may not read the feed")
            return
        names = list(websocket.query_params)
        if names:
            sentence = f"query.{names[0][:100]}: the feed does not accept query parameters: subscribe in a message"
            await websocket.send_denial_response(problem_response(422, sentence, path=FEED_PATH))
            return
        standing = await self._budgets.spend(self._budgets.anything, self._security.addresses.client(scope))
        if not standing.allowed:
            await websocket.close(TRY_AGAIN_LATER, "too many requests from this address")
            return
        wire: FeedTransport = scope["extensions"][WIRE]
        await websocket.accept(FEED_PROTOCOL if FEED_PROTOCOL in offered_protocols(headers) else None)
        try:
            principal = await self._identify(websocket)
            await self._serve(websocket, wire, principal)
        except FeedProtocolError as error:
            if error.code != TRY_AGAIN_LATER:
                self._hub.refused()
                if wire.taking:
                    wire.write(wire.coding.write(Error(text=error.text)))
            wire.end(error.code, error.text)
        except (WebSocketDisconnect, OSError):
            _log.debug("a feed client left")

    async def _identify(self, websocket: WebSocket) -> Principal:
        """Authenticate a client by its headers, else by its first message; few clients may wait for that.

        Raises:
            FeedProtocolError: If no key arrives in time, the key is wrong or does not include the feed, or too many
                wait.
            WebSocketDisconnect: When it leaves.
        """
        principal = await self._security.identify(websocket.headers)
        if principal is None and presented_secret(websocket.headers) is not None:
            raise FeedProtocolError(NOT_ALLOWED, _WRONG_KEY)
        if principal is None:
            limits, address = self._hub.limits, self._security.addresses.client(websocket.scope)
            if self._unknown.total() >= limits.unknown_clients:
                raise FeedProtocolError(TRY_AGAIN_LATER, "too many clients have not sent a key yet")
            if self._unknown[address] >= limits.unknown_per_address:
                raise FeedProtocolError(TRY_AGAIN_LATER, "too many clients of this address have not sent a key yet")
            self._unknown[address] += 1
            try:
                principal = await self._authenticate(websocket)
            finally:
                self._unknown[address] -= 1
                # A Counter does not remove entries at zero.
                self._unknown += collections.Counter()
        if not principal.reaches("feed", writing=False):
            raise FeedProtocolError(NOT_ALLOWED, f"the scopes of {principal.name} do not include the feed")
        return principal

    async def _authenticate(self, websocket: WebSocket) -> Principal:
        seconds = self._hub.limits.auth_seconds
        try:
            async with asyncio.timeout(seconds):
                message = decode_client_message(await _received(websocket))
        except TimeoutError:
            raise FeedProtocolError(NOT_ALLOWED, f"no auth message within {seconds:g} s") from None
        if not isinstance(message, Auth):
            raise FeedProtocolError(NOT_ALLOWED, "the first message must be auth, with a key or access token as `key`")
        principal = await self._security.principal_of(message.key)
        if principal is None:
            raise FeedProtocolError(NOT_ALLOWED, _WRONG_KEY)
        return principal

    async def _serve(self, websocket: WebSocket, wire: FeedTransport, principal: Principal) -> None:
        """Serve an authenticated client, if a place is free.

        Raises:
            FeedProtocolError: If it breaks the protocol, or no place is free.
            WebSocketDisconnect: When it leaves.
        """
        subscriber = self._hub.join(wire)
        if subscriber is None:
            raise FeedProtocolError(TRY_AGAIN_LATER, "the server takes no more feed clients now")
        loop = asyncio.get_running_loop()
        wire.on_taking = lambda: subscriber.pump(loop.time())
        try:
            await _Conversation(websocket, wire, subscriber, self._hub, self._revocations).hold(principal)
        except FeedProtocolError as error:
            # Waiting messages are sent before the reason.
            self._hub.refused()
            subscriber.say(Error(text=error.text), loop.time())
            subscriber.cut(error.code, error.text)
        finally:
            wire.on_taking = None
            self._hub.leave(subscriber)


async def _received(websocket: WebSocket) -> bytes:
    """Return the next message.

    Raises:
        FeedProtocolError: If it is text.
        WebSocketDisconnect: When the client leaves.
    """
    message = await websocket.receive()
    if message["type"] == "websocket.disconnect":
        raise WebSocketDisconnect(message.get("code", 1005))
    data: bytes | None = message.get("bytes")
    if data is None:
        raise FeedProtocolError(NOT_BINARY, "messages must be msgpack in binary frames, got a text frame")
    return data


class _Conversation:
    """The messages of one client, and the answers."""

    def __init__(
        self,
        websocket: WebSocket,
        wire: FeedTransport,
        subscriber: FeedSubscriber,
        hub: FeedHub,
        revocations: RevocationMonitor,
    ) -> None:
        self._websocket, self._wire, self._subscriber = websocket, wire, subscriber
        self._hub, self._revocations = hub, revocations
        self._loop = asyncio.get_running_loop()
        limits = hub.limits
        self._allowance = FeedAllowance(messages=limits.messages, size=limits.message_bytes, now=self._loop.time())

    async def hold(self, principal: Principal) -> None:
        """Receive and answer the client's messages.

        Raises:
            FeedProtocolError: If it breaks the protocol.
            WebSocketDisconnect: When it leaves.
        """
        self._subscriber.name, self._subscriber.greeted = principal.name, True
        self._subscriber.say(self._hub.hello(), self._loop.time())

        def end() -> None:
            self._subscriber.cut(LOGIN_ENDED, "this key or login has expired or was revoked")

        self._revocations.enter(principal, end)
        try:
            while True:
                self._answer(await self._receive())
                # A client that does not read answers is not read from.
                await self._wire.until_taking()
        finally:
            self._revocations.leave(principal, end)

    def _answer(self, message: ClientMessage) -> None:
        match message:
            case Subscribe():
                self._subscriber.subscribe(message, self._loop.time())
            case Unsubscribe():
                self._subscriber.unsubscribe(message)
            case Ping(at_ns=at_ns):
                self._subscriber.say(Pong(at_ns=at_ns), self._loop.time())
            case Auth() | Pong():
                return

    async def _receive(self) -> ClientMessage:
        data = await _received(self._websocket)
        warning = self._allowance.spend(len(data), self._loop.time())
        if warning is not None:
            self._subscriber.say(Warn(text=warning), self._loop.time())
        return decode_client_message(data)
