"""An application under uvicorn on its own socket, as one of the caller's tasks."""

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

# How many files and sockets a server may have open. The default of many systems is 1,024.
_FILES = 65_536


class WebListener:
    """A bound address and the uvicorn server that answers there.

    The constructor binds the address. Requests are answered while `run` runs. Cancelling `run` is the only way to
    stop it.
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
        """Bind the address; with `any_port`, the next free port if this one is taken.

        Listeners of several processes may share one address if all are `is_shared`: each connection goes to one of
        them.

        Raises:
            AddressInUseError: If the port is taken and `any_port` does not help; the error names `setting` as the
                remedy.
            ConfigError: If listening on the address fails for another reason, or the certificate is not usable.
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
        """Release the address."""
        self._socket.close()

    async def run(self, app: ASGIApp) -> None:
        """Answer requests until cancelled; then wait at most `shutdown_seconds` for those in progress."""
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
            # The app counts and times requests. An access log would contain login codes.
            access_log=False,
            log_level="warning",
            log_config=None,
            server_header=False,
            proxy_headers=False,
            ssl_certfile=self._tls.certificate,
            ssl_keyfile=self._tls.key,
        )


def raise_file_limit() -> None:
    """Raise this process's limit of open files to what the system allows, at most 65,536."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _FILES if hard == resource.RLIM_INFINITY else min(_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


class _Uvicorn(uvicorn.Server):
    """A uvicorn server that leaves signals to its program and sets an event when it answers."""

    def __init__(self, config: uvicorn.Config, answering: asyncio.Event) -> None:
        super().__init__(config)
        self._answering = answering

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture no signals."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, then set the event."""
        await super().startup(sockets)
        self._answering.set()
