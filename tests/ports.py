"""Ports for servers that are started a while after their port is known, or several times."""

from __future__ import annotations

import contextlib
import os
import random
import socket
from pathlib import Path

# The system takes ports for connections from here on, and may take one that is free now.
_EPHEMERAL = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text(encoding="ascii").split()[0])
_FIRST, _WORKERS = 10_000, 16
_drawn = random.SystemRandom()


def free_port() -> int:
    """A port of 127.0.0.1 that nobody uses, and that neither a connection nor another of pytest's workers will take."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % _WORKERS
    share = (_EPHEMERAL - _FIRST) // _WORKERS
    while True:
        port = _FIRST + worker * share + _drawn.randrange(share)
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
