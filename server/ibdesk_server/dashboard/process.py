"""The dashboard as a child process, which ends with its parent."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

from ibdesk.desk.child import ChildProcess


class DashboardProcess(ChildProcess):
    """A running dashboard."""

    @property
    def address(self) -> str:
        """Return the one-time login URL."""
        return self.first_line

    @property
    def url(self) -> str:
        """Return the dashboard's URL, without a login."""
        return self.first_line.partition("/login")[0]

    @property
    def port(self) -> int:
        """Return the port it listens on."""
        return urlsplit(self.first_line).port or 0


def spawn_dashboard(
    *, feed: str, key_file: Path, port: int = 5006, names: Sequence[str] = (), path_prefix: str = ""
) -> DashboardProcess:
    """Launch a dashboard that reads the feed at an address, without waiting; port 0 takes any free one."""
    arguments = ["--end-with-stdin", "--feed", feed, "--key-file", str(key_file), "--port", str(port)]
    arguments += ["--path-prefix", path_prefix, *(part for name in names for part in ("--name", name))]
    return DashboardProcess("the dashboard", "ibdesk_server.dashboard", arguments)


def start_dashboard(
    *,
    feed: str,
    key_file: Path,
    port: int = 5006,
    names: Sequence[str] = (),
    path_prefix: str = "",
    timeout_seconds: float = 120.0,
) -> DashboardProcess:
    """Start a dashboard that reads the feed at an address and return once it answers.

    Port 0 takes any free one. The feed need not be available yet: the pages say so and wait for it.

    Raises:
        ChildError: If the process ends before it is ready (port taken, no key) or is not ready in time.
    """
    dashboard = spawn_dashboard(feed=feed, key_file=key_file, port=port, names=names, path_prefix=path_prefix)
    dashboard.until_ready(timeout_seconds)
    return dashboard
