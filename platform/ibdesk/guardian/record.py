"""The guardian's log, one JSON object per line, and its memory, which survives a kill."""

from __future__ import annotations

import contextlib
import datetime as dt
import io
import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import msgspec

from ibdesk.clock import wall_ns
from ibdesk.config import owner_only, private_folder, write_private
from ibdesk.guardian.decisions import Tripped
from ibdesk.guardian.shares import ShareBasis
from ibdesk.guardian.stop import Level, Stop

_log = logging.getLogger(__name__)

# The previous file is kept beside the current one.
_LONGEST_LOG = 20_000_000


class FinishedStop(msgspec.Struct, frozen=True, kw_only=True):
    """The outcome of a stop.

    `state` is ``done``, ``abandoned`` (its halt was lifted before) or ``ended`` (the embedded account ended with its
    engine). `level` is how far it was to go. `covered_by` is the stop that did its work, if it was not carried out
    itself.
    """

    state: Literal["done", "abandoned", "ended"]
    level: Level = Level.HALT
    covered_by: str = ""
    seconds: float = 0.0
    orders_sent: int = 0
    cancels_sent: int = 0


class Memory(msgspec.Struct, frozen=True, kw_only=True):
    """The state that outlives the process: unfinished stops, rules that have acted, the last seen STOP file.

    `attempts` is the number of the last plan, so that no two orders share a reference. `shares` are the positions of a
    stop's runs and `outcomes` the outcomes of the last stops, both by the stop's id. Orders that may still be filled
    belong to the account, not to one process: `Claim` keeps them.
    """

    account: str = ""
    stops: tuple[Stop, ...] = ()
    shares: dict[str, ShareBasis] = {}
    outcomes: dict[str, FinishedStop] = {}
    attempts: int = 0
    tripped: dict[str, Tripped] = {}
    accepted_loss: float = 0.0
    stop_file: tuple[int, ...] = ()

    @property
    def finished(self) -> dict[str, object]:
        """Return the last stop that was carried out itself, empty before the first."""
        for stop_id, outcome in reversed(self.outcomes.items()):
            if outcome.state == "done" and not outcome.covered_by:
                return {
                    "id": stop_id, "level": outcome.level, "seconds": outcome.seconds,
                    "orders_sent": outcome.orders_sent, "cancels_sent": outcome.cancels_sent,
                }  # fmt: skip
        return {}


class Record:
    """The guardian's log and memory."""

    def __init__(self, log: Path, memory: Path | None, *, say: Callable[[str], None]) -> None:
        """Open both; without a file the memory ends with the process.

        `say` receives the alerts; it must not wait or fail. An unwritable disk must not keep the guardian from acting:
        it is alerted, and writing is tried again.
        """
        self._log_path, self._memory_path, self._say = log, memory, say
        self._fault, self._is_torn = "", False
        self._file: io.FileIO | None = None
        with contextlib.suppress(OSError):
            private_folder(log.parent)
        self.memory = self._read()

    def close(self) -> None:
        """Close the log."""
        if self._file is not None:
            self._file.close()

    def write(self, event: str, **facts: Any) -> None:
        """Append a line."""
        at = dt.datetime.fromtimestamp(wall_ns() / 1e9, dt.UTC).isoformat(timespec="milliseconds")
        line = json.dumps({"at": at, "event": event, **facts}, default=str, ensure_ascii=False)
        data = line.encode("utf-8", "backslashreplace") + b"\n"
        try:
            self._append(data)
        except OSError as error:
            if str(error) != self._fault:
                self._fault = str(error)
                self._say(f"the guardian's log cannot be written: {error}")

    def _append(self, data: bytes) -> None:
        """Write a line unbuffered: a buffered line that a full disk refused would be written again at each later write.

        Raises:
            OSError: If the line cannot be written.
        """
        if self._file is None:
            private_folder(self._log_path.parent)
            self._file = io.FileIO(self._log_path, "ab", opener=owner_only)
        if self._file.tell() > _LONGEST_LOG:
            with contextlib.suppress(OSError):
                self._log_path.replace(self._log_path.with_suffix(".log.1"))
                self._file.close()
                self._file = None
                self._file = io.FileIO(self._log_path, "ab", opener=owner_only)
        if self._file is None:
            return
        if self._is_torn:
            data = b"\n" + data
        self._is_torn = self._file.write(data) != len(data)
        self._fault = ""

    def alert(self, text: str, **facts: Any) -> None:
        """Append a line that is shown to a person at once."""
        self.write("alert", text=text, **facts)
        self._say(text)

    def keep(self, **changes: Any) -> None:
        """Change the memory, on disk before returning; an unwritable disk is alerted."""
        self.memory = msgspec.structs.replace(self.memory, **changes)
        if self._memory_path is None:
            return
        try:
            write_private(self._memory_path, msgspec.json.encode(self.memory))
        except OSError as error:
            self.alert(f"the guardian cannot keep its state ({error}): a stop would not be resumed after a crash")

    def new_attempt(self) -> int:
        """Return a number that no plan of any process had before: the time in microseconds, or the next one.

        A repeated stop under a halt in force has the same id, and this memory may be lost.
        """
        attempt = max(self.memory.attempts + 1, wall_ns() // 1000)
        self.keep(attempts=attempt)
        return attempt

    def _read(self) -> Memory:
        if self._memory_path is None:
            return Memory()
        try:
            return msgspec.json.decode(self._memory_path.read_bytes(), type=Memory)
        except FileNotFoundError:
            return Memory()
        except (OSError, msgspec.MsgspecError) as error:
            beside = self._memory_path.with_suffix(".unreadable")
            self.alert(f"the guardian's state cannot be read and is reset ({error}); it is kept as {beside}")
            try:
                self._memory_path.replace(beside)
            except OSError:
                _log.warning("%s cannot be moved", self._memory_path)
            return Memory()
