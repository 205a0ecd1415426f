"""One-time login addresses for browsers: shown on a terminal, never written to a file or a service's log."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from rich.text import Text

from ibdesk.cli.screen import address, console, line
from ibdesk_server.bound import address_url
from ibdesk_server.security.guard import Security
from ibdesk_server.settings import Settings


def login_hint() -> str:
    """Return a hint how to log a browser in."""
    return "each address above logs in one browser, once" if is_on_terminal() else "`ibdesk login` logs a browser in"


def is_on_terminal() -> bool:
    """Return whether standard output is a terminal; a pipe with forced colors is not."""
    return sys.stdout.isatty()


def show_login(label: str, url: str, login_url: Callable[[], str]) -> None:
    """Print an address: on a terminal a one-time login address, elsewhere the plain one."""
    if is_on_terminal():
        line(label, address(login_url()))
    else:
        line(label, Text(url))


def print_login(config: Path | None, *, url: str | None) -> None:
    """Print a one-time login address of the server on this machine.

    Raises:
        ConfigError: If the keys cannot be read or created.
    """
    settings = Settings.load(config=config)
    root = url or address_url(settings.server.host, settings.server.port, is_encrypted=settings.server.tls.encrypted)
    console.print(address(root.rstrip("/") + Security.open(settings.server).login_path()), soft_wrap=True)
