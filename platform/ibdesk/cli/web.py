"""API, feed and dashboard of a desk in this process, for the demo."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

from ibdesk.cli.interrupt import CleanupStack
from ibdesk.cli.login import login_hint, show_login
from ibdesk.cli.screen import line, waiting
from ibdesk.config import Given
from ibdesk.desk import DeskHandle
from ibdesk.errors import AddressInUseError
from ibdesk_server.dashboard.process import start_dashboard
from ibdesk_server.security.dashboard_key import obtain_dashboard_key
from ibdesk_server.settings import Settings

if TYPE_CHECKING:
    from ibdesk_server.serve import WebServer

_HOST = "127.0.0.1"
_PORTS_TRIED = 50


def web_options(port: int | None, dashboard_port: int | None) -> tuple[Given, Given]:
    """Return the settings that the web options override."""
    return Given("server.port", port, "--port"), Given("dashboard.port", dashboard_port, "--dashboard-port")


def open_web(cleanup: CleanupStack, desk: DeskHandle, settings: Settings, *, with_dashboard: bool) -> WebServer:
    """Bind the ports, start the dashboard's process if wanted, and print the addresses.

    `cleanup` releases them. The server answers once `serve` runs it.

    Raises:
        AddressInUseError: If the port and those after it are taken.
        ConfigError: If the API key cannot be stored.
        ChildError: If the dashboard does not start.
    """
    # Imports the web server's libraries, which `free_port` does not need.
    from ibdesk_server.serve import WebServer

    server = WebServer(desk, settings, any_port=True)
    cleanup.callback(server.close)
    key_file = settings.server.key_file
    if with_dashboard:
        with waiting("starting the dashboard"):
            dashboard = start_dashboard(
                feed=server.feed_url,
                key_file=obtain_dashboard_key(settings.server),
                port=free_port(settings.dashboard.port),
                names=settings.dashboard.names,
                path_prefix=settings.dashboard.path_prefix,
            )
        cleanup.enter_context(dashboard)
        show_login("dashboard", dashboard.url, lambda: dashboard.address)
    show_login("API", server.url, server.login_url)
    line("feed", f"{server.feed_url} (msgpack)")
    line("API key", f"{key_file} ({login_hint()})")
    return server


def free_port(wanted: int) -> int:
    """Return the port, or the next free one; 0 remains 0.

    Raises:
        AddressInUseError: If none of the next 50 is free.
    """
    for port in range(wanted, min(wanted + _PORTS_TRIED, 65_536)):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((_HOST, port))
            except OSError:
                continue
            return port
    raise AddressInUseError(_HOST, wanted, "--dashboard-port")
