"""A digest of all events, which compares two runs of a seed, and their story for people."""

from __future__ import annotations

import hashlib
import sys

from ibdesk.clock import SECOND
from ibdesk.simulation.loop import VirtualLoop


class Trace:
    """The bytes written to sockets and the world's actions, in order and with the time."""

    def __init__(self, loop: VirtualLoop, *, verbose: bool) -> None:
        self._loop, self._is_verbose = loop, verbose
        self._start_ns = loop.now_ns
        self._hash = hashlib.sha256()

    @property
    def digest(self) -> str:
        """Return the digest so far."""
        return self._hash.hexdigest()

    def wrote(self, process: str, data: bytes) -> None:
        """Add data that a process writes to a socket."""
        self._hash.update(f"{self._loop.now_ns} {process} {len(data)} ".encode())
        self._hash.update(data)

    def note(self, text: str, *, detail: str = "") -> None:
        """Add an action of the world, and print it if verbose.

        A detail is only printed: it may name a folder or a process of this machine, which no two runs share.
        """
        self._hash.update(f"{self._loop.now_ns} {text}\n".encode())
        if self._is_verbose:
            told = f"{text}: {detail}" if detail else text
            sys.stdout.write(f"{(self._loop.now_ns - self._start_ns) / SECOND:10.4f}  {told}\n")
