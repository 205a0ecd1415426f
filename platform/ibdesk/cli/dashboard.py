"""`ibdesk dashboard`: runs the dashboard in its own process, apart from engine and web server."""

from __future__ import annotations

import asyncio

from ibdesk.cli.login import show_login
from ibdesk.cli.screen import line, step
from ibdesk.desk.loop import spare_from_collection
from ibdesk_server.dashboard.running import read_machine_key, run_dashboard
from ibdesk_server.security.dashboard_key import obtain_dashboard_key
from ibdesk_server.settings import Settings


def run(settings: Settings) -> None:
    """Show the desk in the browser until Ctrl-C.

    Raises:
        IbdeskError: If there is no key, or the port is taken.
    """
    chosen, server = settings.dashboard, settings.server
    key = read_machine_key(obtain_dashboard_key(server)) if chosen.key is None else chosen.key.get_secret_value()
    feed = chosen.feed or f"ws://127.0.0.1:{server.port}/feed"

    def ready(login: str) -> None:
        step("Dashboard")
        line("feed", feed)
        show_login("dashboard", login.partition("/login")[0], lambda: login)
        line("end", "Ctrl-C")

    spare_from_collection()
    asyncio.run(
        run_dashboard(
            feed=feed,
            key=key,
            host=chosen.host,
            port=chosen.port,
            names=chosen.names,
            state_folder=settings.state_folder,
            path_prefix=chosen.path_prefix,
            ready=ready,
        )
    )
