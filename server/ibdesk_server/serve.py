"""The web server of one desk: the application, its key, its address, its life."""

from __future__ import annotations

import asyncio

from ibdesk.desk import DeskHandle
from ibdesk_server.app import create_app
from ibdesk_server.listener import WebListener
from ibdesk_server.security.guard import Security
from ibdesk_server.security.principal import Principal
from ibdesk_server.settings import Settings


class WebServer:
    """The web server of one desk.

    Its address is taken when it is made; it answers while `run` runs. Cancelling `run` is the only stop: feed
    clients are told to go, requests under way end, and the address is given back. Signals are left to the caller.
    """

    def __init__(
        self,
        desk: DeskHandle,
        settings: Settings,
        *,
        any_port: bool = False,
        is_shared: bool = False,
        worker: str = "1",
    ) -> None:
        """Bind the address of the settings; with `any_port` the next free one when its port is taken.

        Servers of several processes that are all `is_shared` may have one address, and the connections among them;
        `worker` tells one from another, in metrics above all.

        Raises:
            AddressInUseError: If the port is taken and no other will do.
            ConfigError: If the address cannot be listened on, or the API key cannot be read or made.
        """
        self.security = Security.open(settings.server)
        self.app = create_app(desk, settings, security=self.security, worker=worker)
        self._hub, self._watch = self.app.state.services.hub, self.app.state.services.watch
        self._listener = WebListener(
            settings.server.host,
            settings.server.port,
            any_port=any_port,
            is_shared=is_shared,
            setting="server.port",
            tls=settings.server.tls,
            shutdown_seconds=settings.server.shutdown_seconds,
            heads=settings.server.requests.heads,
        )

    @property
    def port(self) -> int:
        """Return the port that was bound."""
        return self._listener.port

    @property
    def url(self) -> str:
        """Return the address for clients, such as ``http://127.0.0.1:8000``."""
        return self._listener.url

    @property
    def feed_url(self) -> str:
        """Return the address of the feed, such as ``ws://127.0.0.1:8000/feed``."""
        return f"ws{self.url.removeprefix('http')}/feed"

    def login_url(self, principal: Principal | None = None) -> str:
        """Return a new address that logs a browser in as somebody, by default as who holds the key, once."""
        return self.url + self.security.login_path(principal)

    async def until_answering(self) -> None:
        """Wait until requests are answered."""
        await self._listener.answering.wait()

    def close(self) -> None:
        """Give the address back; for a server that is never run."""
        self._listener.close()

    async def run(self) -> None:
        """Serve until cancelled, or until the feed fails: a server that cannot tell the news does not go on.

        Raises:
            Exception: What the feed failed of.
        """
        listening = asyncio.create_task(self._listener.run(self.app), name="web server")
        failing = asyncio.create_task(self._watch.supervisor.until_ended(), name="watch of the watch")
        try:
            await asyncio.wait({listening, failing}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._hub.close()
            failing.cancel()
            listening.cancel()
            await asyncio.wait({listening, failing})
        for task in (failing, listening):
            if not task.cancelled():
                task.result()


async def serve(desk: DeskHandle, settings: Settings) -> None:
    """Serve a desk until cancelled.

    Raises:
        AddressInUseError: If the port is taken.
        ConfigError: If the address cannot be listened on, or the API key cannot be read or made.
    """
    await WebServer(desk, settings).run()
