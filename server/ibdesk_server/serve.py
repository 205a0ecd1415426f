"""The web server of one desk: application, key, address, start and stop."""

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

    The constructor binds the address; requests are answered while `run` runs. Cancelling `run` is the only way to stop:
    feed clients are disconnected, requests in progress finish, and the address is released. Signals are the caller's.
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
        """Bind the address of the settings; with `any_port`, the next free port if it is taken.

        Servers of several processes may share one address if all are `is_shared`; each connection goes to one of them.
        `worker` names this server, for example in metrics.

        Raises:
            AddressInUseError: If the port is taken and `any_port` does not help.
            ConfigError: If listening on the address fails, or the API key cannot be read or created.
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
        """Return the bound port."""
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
        """Return a new one-time login URL for a browser, by default with the rights of the machine's key."""
        return self.url + self.security.login_path(principal)

    async def until_answering(self) -> None:
        """Wait until requests are answered."""
        await self._listener.answering.wait()

    def close(self) -> None:
        """Release the address of a server that never ran."""
        self._listener.close()

    async def run(self) -> None:
        """Serve until cancelled, or until the feed fails: a server without a feed must not continue.

        Raises:
            Exception: The error that ended the feed.
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
        ConfigError: If listening on the address fails, or the API key cannot be read or created.
    """
    await WebServer(desk, settings).run()
