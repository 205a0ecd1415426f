"""A planned crash, and its place among the writes of an engine's turn."""

from __future__ import annotations

from ibdesk.clock import SECOND
from ibdesk.simulation.disk import Disk
from ibdesk.simulation.engine_process import EngineProcess
from ibdesk.simulation.network import Network
from ibdesk.simulation.plan import Kill

# The longest wait for a turn that writes.
_PATIENCE_NS = 2 * SECOND


class Crash:
    """Tracks the length of the journal's log at each write, so that log and sockets end at the same moment."""

    def __init__(self, kill: Kill, now_ns: int, disk: Disk | None) -> None:
        self.kill, self._due_ns = kill, now_ns
        # _before: the length of the log after the last turn; _sizes: its length at each write of this turn.
        self._before = 0 if disk is None else disk.log_bytes()
        self._sizes: list[int] = []

    def note_write(self, disk: Disk) -> None:
        """Record the length of the log as data is given to a socket."""
        self._sizes.append(disk.log_bytes())

    def note_turn(self, disk: Disk) -> None:
        """Record the length of the log at the end of a turn."""
        self._sizes.clear()
        self._before = disk.log_bytes()

    def place(self, engine: EngineProcess, network: Network, now_ns: int) -> tuple[int, int, int] | None:
        """Return the number of whole writes, the bytes of the next one and the bytes of the log; None if not yet."""
        kill, writes = self.kill, network.written(engine.process)
        if not writes and now_ns - self._due_ns < _PATIENCE_NS:
            return None
        whole = min(int(kill.writes * (writes + 1)), writes)
        sizes = [self._before, *self._sizes]
        # Closing a connection is a write of zero bytes.
        sizes += [engine.disk.log_bytes()] * (writes + 2 - len(sizes))
        log_bytes = sizes[whole + 1]
        piece = 0
        if whole < writes and kill.piece:
            piece = max(1, int(kill.piece * network.bytes_of(engine.process, whole)))
        else:
            # Within the commit before the write that did not leave.
            log_bytes = sizes[whole] + int((log_bytes - sizes[whole]) * kill.torn)
        if kill.is_power_loss:
            synced = engine.disk.log_bytes_at(now_ns - round(kill.lost_seconds * SECOND))
            log_bytes = min(log_bytes, synced)
        return whole, piece, log_bytes
