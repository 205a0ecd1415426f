"""A feed on a real socket with no desk behind it, raw clients of it, and a cable that can be cut.

And the whole: a server around a desk on the embedded gateway, whose market runs fifty times as fast as the wall.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import msgpack  # type: ignore[import-untyped] # it ships no types
import pytest
from fastapi import FastAPI
from prometheus_client import CollectorRegistry
from tests.plain_http import PLAIN
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from ibdesk.desk import Desk
from ibdesk.store.batches import Batch, FeedState, Sequencer
from ibdesk.store.feed import Feed, Row, Topic
from ibdesk_server.feed.endpoint import FeedEndpoint, FeedMiddleware
from ibdesk_server.feed.hub import FeedHub
from ibdesk_server.feed.limits import FeedLimits
from ibdesk_server.feed.metrics import FeedMetrics
from ibdesk_server.listener import WebListener
from ibdesk_server.routers import events
from ibdesk_server.security.budgets import Budgets
from ibdesk_server.security.guard import Security
from ibdesk_server.security.passwords import Passwords
from ibdesk_server.security.principal import Role
from ibdesk_server.security.revocations import RevocationMonitor
from ibdesk_server.security.settings import LimitSettings, SecuritySettings
from ibdesk_server.serve import WebServer
from ibdesk_server.settings import ServerSettings, Settings

SECONDS = 10.0
PASSWORD = "four words nobody guesses"
CHEAP = SecuritySettings(password_rounds=2, password_memory_kib=19_456)

Message = dict[str, Any]


class RawClient:
    """A WebSocket client that knows msgpack and nothing of the protocol."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection

    async def send(self, **message: Any) -> None:
        await self.connection.send(msgpack.packb(message))

    async def receive(self) -> Message:
        frame = await asyncio.wait_for(self.connection.recv(decode=False), SECONDS)
        message: Message = msgpack.unpackb(frame)
        return message

    async def receive_of(self, topic: str) -> Message:
        """Return the next snapshot or delta of a topic, passing over what is of others."""
        while (message := await self.receive()).get("topic") != topic:
            pass
        return message

    async def receive_rest(self) -> tuple[list[Message], int, str]:
        """Return all messages up to the end, and the code and reason of the close frame."""
        messages = []
        try:
            while True:
                messages.append(await self.receive())
        except ConnectionClosed as closed:
            frame = closed.rcvd
            return messages, frame.code if frame else 0, frame.reason if frame else ""


class Relay:
    """Numbers a feed once for any number of servers, as the engine's process does for its web workers."""

    def __init__(self, feed: Feed) -> None:
        self.feed, self._sequencer = feed, Sequencer(feed)
        self._followers: set[_Follower] = set()
        self.reachable = True

    async def run(self) -> None:
        await self._sequencer.open()
        while True:
            self.hand_on(await self._sequencer.next())

    def hand_on(self, news: list[Batch] | FeedState) -> None:
        for follower in self._followers:
            follower.news.put_nowait(news)

    def source(self) -> _Follower:
        return _Follower(self._sequencer, self._followers)


class _Follower:
    """One server's end of a relay; a `BatchSource`."""

    def __init__(self, sequencer: Sequencer, followers: set[_Follower]) -> None:
        self._sequencer, self._followers = sequencer, followers
        self._seqs: dict[Topic, int] = {}
        self.news: asyncio.Queue[list[Batch] | FeedState] = asyncio.Queue()

    async def open(self) -> FeedState:
        state = self._sequencer.state()
        self._seqs = {topic: found.seq for topic, found in state.topics.items()}
        self._followers.add(self)
        return state

    async def next(self) -> list[Batch] | FeedState:
        while True:
            news = await self.news.get()
            if isinstance(news, FeedState):
                return news
            fresh = [batch for batch in news if batch.seq > self._seqs[batch.topic]]
            if fresh:
                return fresh

    async def close(self) -> None:
        self._followers.discard(self)


class FeedServer:
    """A running feed; rows published to `feed` reach its clients."""

    def __init__(self, limits: FeedLimits, key: str, relay: Relay | None, feed: Feed) -> None:
        self.feed, self.key, self.security = feed, key, Security(key)
        self.hub = FeedHub(
            Sequencer(feed) if relay is None else relay.source(),
            limits=limits,
            metrics=FeedMetrics(CollectorRegistry()),
            is_reachable=lambda: relay is None or relay.reachable,
        )
        self.listener = WebListener("127.0.0.1", 0, setting="port")
        self.port = self.listener.port
        self.url = f"ws://127.0.0.1:{self.port}/feed"
        self.published = 0
        self._connections: list[ClientConnection] = []

    async def run(self) -> None:
        @contextlib.asynccontextmanager
        async def lifespan(_: FastAPI) -> AsyncIterator[None]:
            task = asyncio.create_task(self.hub.run())
            try:
                yield
            finally:
                task.cancel()
                await asyncio.wait({task})

        app = FastAPI(lifespan=lifespan)
        app.state.services = SimpleNamespace(
            hub=self.hub,
            security=self.security,
            budgets=Budgets(LimitSettings()),
            revocations=RevocationMonitor(self.security),
        )
        app.include_router(events.router)
        app.include_router(events.module_router)
        await self.listener.run(FeedMiddleware(app, FeedEndpoint(self.hub, self.security)))

    async def connect(self, *, known: bool = True, **options: Any) -> RawClient:
        """Return a client that has said nothing yet; `known` ones carry the key."""
        headers = {"X-API-Key": self.key} if known else {}
        headers |= options.pop("headers", {})
        connection = await connect(
            self.url, additional_headers=headers, compression=None, max_size=None, proxy=None, **options
        )
        self._connections.append(connection)
        return RawClient(connection)

    async def hang_up(self) -> None:
        """Drop all clients, also those that read nothing."""
        for connection in self._connections:
            connection.transport.abort()
            await connection.wait_closed()

    async def join(self, *topics: str, **subscription: Any) -> RawClient:
        """Return a client that has subscribed; its next messages are the snapshots."""
        client = await self.connect(**subscription.pop("options", {}))
        assert (await client.receive())["type"] == "hello"
        await client.send(type="subscribe", topics=list(topics), **subscription)
        return client

    async def resume(self, token: str) -> RawClient:
        """Return a client that goes on by a token."""
        client = await self.connect()
        assert (await client.receive())["type"] == "hello"
        await client.send(type="subscribe", token=token)
        return client

    def publish_order(self, symbol: str = "AAPL", *, padding: int = 0) -> Row:
        """Publish the next order and return its row; `id` counts from 1."""
        self.published += 1
        row = {"id": str(self.published), "symbol": symbol, "status": "sent", "reason": "x" * padding}
        self.feed.publish(Topic.ORDERS, row["id"], row)
        return row

    def publish_quote(self, symbol: str, bid: float, *, padding: int = 0) -> Row:
        row = {"symbol": symbol, "at_ns": 0, "bid": bid, "note": "x" * padding}
        self.feed.publish(Topic.QUOTES, symbol, row)
        return row


StartFeed = Callable[..., Awaitable[FeedServer]]


@pytest.fixture
async def start_feed() -> AsyncIterator[StartFeed]:
    tasks: list[asyncio.Task[None]] = []
    servers: list[FeedServer] = []

    async def start(*, relay: Relay | None = None, feed: Feed | None = None, **limits: Any) -> FeedServer:
        server = FeedServer(FeedLimits(**limits), "k" * 43, relay, feed or Feed())
        servers.append(server)
        tasks.append(asyncio.create_task(server.run()))
        await asyncio.wait_for(server.listener.answering.wait(), SECONDS)
        return server

    yield start
    for server in servers:
        await server.hang_up()
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks)


@pytest.fixture
async def relay() -> AsyncIterator[Relay]:
    """A feed that several servers may follow; see `Relay.feed`."""
    relay = Relay(Feed())
    task = asyncio.create_task(relay.run())
    await asyncio.sleep(0)
    yield relay
    task.cancel()
    await asyncio.wait({task})


@pytest.fixture
async def feed_server(start_feed: StartFeed) -> FeedServer:
    return await start_feed()


class Cable:
    """A TCP connection between a client and the server, which can be cut as if somebody pulled it."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._writers: set[asyncio.StreamWriter] = set()
        self._frozen: set[asyncio.StreamWriter] = set()
        self.port = 0

    async def serve(self) -> asyncio.Server:
        server = await asyncio.start_server(self._link, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        return server

    def lead_to(self, port: int) -> None:
        """Lead later connections elsewhere."""
        self._target = port

    def cut(self) -> None:
        for writer in self._writers:
            writer.transport.abort()

    def freeze(self) -> None:
        """Let nothing more through on the present connections, without ending them."""
        self._frozen |= self._writers

    async def _link(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._target)
        except OSError:
            writer.transport.abort()
            return
        self._writers |= {writer, far_writer}
        await asyncio.gather(self._pipe(reader, far_writer), self._pipe(far_reader, writer))
        self._writers -= {writer, far_writer}

    async def _pipe(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65_536):
                if writer not in self._frozen:
                    writer.write(data)
                    await writer.drain()
        writer.transport.abort()


@pytest.fixture
async def cable(feed_server: FeedServer) -> AsyncIterator[Cable]:
    cable = Cable(feed_server.port)
    server = await cable.serve()
    yield cable
    server.close()
    cable.cut()
    await server.wait_closed()


BUYER = '''
from ibdesk import Field, Quote, Strategy


class Buyer(Strategy):
    """Buy once, and leave a bid below the market."""

    size: float = Field(10, gt=0, description="shares to buy")

    def on_quote(self, quote: Quote) -> None:
        if not self.state.get("bought"):
            self.state["bought"] = True
            self.buy(quote.instrument, self.size)
            self.buy(quote.instrument, 1, limit=round(quote.bid * 0.98, 2))
'''


@pytest.fixture(scope="session")
def strategies_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("strategies")
    (folder / "buyer.py").write_text(BUYER)
    (folder / "broken.py").write_text("class Half(Strategy\n")
    (folder.parent / "outside.py").write_text(BUYER)
    return folder


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    with Desk.open("embedded", state_folder=tmp_path_factory.mktemp("desk"), gateway={"speed": 50, "port": 0}) as desk:
        yield desk


@pytest.fixture
def server_settings(tmp_path: Path, strategies_folder: Path) -> Settings:
    key_file = tmp_path / "keys" / "api.key"
    server = ServerSettings(port=0, key_file=key_file, strategies=strategies_folder, security=CHEAP)
    return Settings(state_folder=tmp_path, server=server)


StartWeb = Callable[[Desk], Awaitable[WebServer]]


@pytest.fixture
async def start_web(server_settings: Settings) -> AsyncIterator[StartWeb]:
    tasks: list[asyncio.Task[None]] = []

    async def start(desk: Desk) -> WebServer:
        server = WebServer(desk, server_settings)
        tasks.append(asyncio.create_task(server.run()))
        await asyncio.wait_for(server.until_answering(), SECONDS)
        return server

    yield start
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks)


@pytest.fixture
async def web(desk: Desk, start_web: StartWeb) -> WebServer:
    return await start_web(desk)


@pytest.fixture
def key(web: WebServer, server_settings: Settings) -> str:
    return server_settings.server.key_file.read_text().strip()


@pytest.fixture(scope="session")
def password_hash() -> str:
    return Passwords(rounds=2, memory_kib=19_456).hash(PASSWORD)


class People:
    """Three users of a server, who all have the same password: vera looks, tom trades, ann decides who gets in."""

    VERA, TOM, ANN = "vera", "tom", "ann"
    PASSWORD = PASSWORD

    def __init__(self, security: Security, password_hash: str) -> None:
        self.security = security
        for name, role in (("vera", Role.VIEWER), ("tom", Role.TRADER), ("ann", Role.ADMIN)):
            security.users.add(name, role, password_hash)

    def token(self, name: str) -> str:
        """Return an access token of a new login."""
        user = self.security.users.find(name)
        assert user is not None
        login, _ = self.security.logins.start(name, user.generation)
        return self.security.tokens.issue(login, user.role)

    def bearer(self, name: str) -> dict[str, str]:
        """Return the header of a new login."""
        return {"Authorization": f"Bearer {self.token(name)}"}

    def key(self, name: str, role: Role = Role.VIEWER, *, days: float = 1, scopes: list[str] | None = None) -> str:
        """Return a new API key."""
        return self.security.keys.create(name, role, days=days, scopes=scopes, by="ann")[0]


@pytest.fixture
def people(web: WebServer, password_hash: str) -> People:
    return People(web.security, password_hash)


@pytest.fixture
async def api(web: WebServer, key: str) -> AsyncIterator[httpx.AsyncClient]:
    """A client that has the key."""
    async with httpx.AsyncClient(base_url=web.url, headers={"X-API-Key": key}, timeout=60, **PLAIN) as client:
        yield client


@pytest.fixture
async def stranger(web: WebServer) -> AsyncIterator[httpx.AsyncClient]:
    """A client that nobody knows."""
    async with httpx.AsyncClient(base_url=web.url, timeout=60, **PLAIN) as client:
        yield client
