"""A digest of all that happened, by which two runs of a seed are compared, and the story of it for people."""

from __future__ import annotations

import hashlib
import sys

from ibdesk.clock import SECOND
from ibdesk.simulation.loop import VirtualLoop


class Trace:
    """What was written to sockets, and what the world did, in order and with the time."""

    def __init__(self, loop: VirtualLoop, *, verbose: bool) -> None:
        self._loop, self._is_verbose = loop, verbose
        self._start_ns = loop.now_ns
        self._hash = hashlib.sha256()

    @property
    def digest(self) -> str:
        """Return the digest so far."""
        return self._hash.hexdigest()

    def wrote(self, process: str, data: bytes) -> None:
        """Take what a process writes to a socket."""
        self._hash.update(f"{self._loop.now_ns} {process} {len(data)} ".encode())
        self._hash.update(data)

    def note(self, text: str, *, detail: str = "") -> None:
        """Take what the world does; told at once where that is wanted.

        A detail is told only: it may name a folder or a process of this machine, which no two runs share.
        """
        self._hash.update(f"{self._loop.now_ns} {text}\n".encode())
        if self._is_verbose:
            told = f"{text}: {detail}" if detail else text
            sys.stdout.write(f"{(self._loop.now_ns - self._start_ns) / SECOND:10.4f}  {told}\n")
