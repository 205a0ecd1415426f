"""An application under uvicorn on a socket of its own, as one task among the caller's."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import resource
import socket
from collections.abc import Iterator

import uvicorn
from starlette.types import ASGIApp

from ibdesk_server.bound import bind, url_of
from ibdesk_server.feed.protocol import MAX_MESSAGE_BYTES
from ibdesk_server.feed.transport import FeedTransport, HttpTransport
from ibdesk_server.heads import HeadLimits, WaitingHeads
from ibdesk_server.security.certificate import check_certificate
from ibdesk_server.security.settings import TlsSettings

# How many files and sockets a server may have open; many systems give 1,024 unless asked.
_FILES = 65_536


class WebListener:
    """A bound address, and what answers there.

    The address is known, and nobody else can take it, from the moment it is made; requests are answered while `run`
    runs. Cancelling `run` is the only stop.
    """

    def __init__(
        self,
        host: str,
        port: int,
        *,
        any_port: bool = False,
        is_shared: bool = False,
        setting: str,
        shutdown_seconds: int = 1,
        tls: TlsSettings | None = None,
        heads: HeadLimits | None = None,
    ) -> None:
        """Bind the address; with `any_port` the next free port when this one is taken. `tls` may encrypt it.

        Listeners of several processes that are all `is_shared` may have one address: each connection goes to one.

        Raises:
            AddressInUseError: If the port is taken and no other will do; it names `setting` as the way out.
            ConfigError: If the address cannot be listened on for another reason, or the certificate is of no use.
        """
        self._tls = tls or TlsSettings()
        check_certificate(self._tls)
        self._socket = bind(host, port, any_port=any_port, setting=setting, is_shared=is_shared)
        self.heads = WaitingHeads(heads or HeadLimits())
        self._shutdown_seconds = shutdown_seconds
        self.port: int = self._socket.getsockname()[1]
        self.url = url_of(self._socket, is_encrypted=self._tls.on)
        self.answering = asyncio.Event()

    def close(self) -> None:
        """Give the address back."""
        self._socket.close()

    async def run(self, app: ASGIApp) -> None:
        """Answer requests until cancelled; then let those under way end, for `shutdown_seconds` at most."""
        raise_file_limit()
        server = _Uvicorn(self._config(app), self.answering)
        serving = asyncio.create_task(server.serve([self._socket]), name="uvicorn")
        try:
            await asyncio.shield(serving)
        except asyncio.CancelledError:
            server.should_exit = True
            await serving
            raise
        finally:
            self.close()

    def _config(self, app: ASGIApp) -> uvicorn.Config:
        return uvicorn.Config(
            app,
            interface="asgi3",
            http=functools.partial(HttpTransport, heads=self.heads),  # type: ignore[arg-type] # uvicorn calls it
            ws=FeedTransport,
            ws_max_size=MAX_MESSAGE_BYTES,
            ws_per_message_deflate=False,
            timeout_graceful_shutdown=self._shutdown_seconds,
            # The app counts and times requests; an access log would hold the codes of logins.
            access_log=False,
            log_level="warning",
            log_config=None,
            server_header=False,
            proxy_headers=False,
            ssl_certfile=self._tls.certificate,
            ssl_keyfile=self._tls.key,
        )


def raise_file_limit() -> None:
    """Let this process have as many sockets as the system allows it to ask for, up to what a feed may need."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _FILES if hard == resource.RLIM_INFINITY else min(_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


class _Uvicorn(uvicorn.Server):
    """uvicorn that leaves signals to the program it is part of, and says when it answers."""

    def __init__(self, config: uvicorn.Config, answering: asyncio.Event) -> None:
        super().__init__(config)
        self._answering = answering

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture none."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, and tell."""
        await super().startup(sockets)
        self._answering.set()
