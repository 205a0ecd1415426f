"""Addresses that log a browser in, once: shown on a terminal, and never written into a file or a service's log."""

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
    """Return how a browser is logged in."""
    return "each address above logs one browser in, once" if is_on_terminal() else "`ibdesk login` logs a browser in"


def is_on_terminal() -> bool:
    """Return whether a person sees what is printed; colors that are forced on a pipe make it no terminal."""
    return sys.stdout.isatty()


def show_login(label: str, url: str, login_url: Callable[[], str]) -> None:
    """Print an address under a step: on a terminal one that logs in, once, elsewhere the address alone."""
    if is_on_terminal():
        line(label, address(login_url()))
    else:
        line(label, Text(url))


def print_login(config: Path | None, *, url: str | None) -> None:
    """Print an address that logs a browser in at the server of this machine, once.

    Raises:
        ConfigError: If the keys cannot be read or made.
    """
    settings = Settings.load(config=config)
    root = url or address_url(settings.server.host, settings.server.port, is_encrypted=settings.server.tls.encrypted)
    console.print(address(root.rstrip("/") + Security.open(settings.server).login_path()), soft_wrap=True)
