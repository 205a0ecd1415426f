"""The record of drills: one JSON object per line in ``drills.jsonl`` of the state folder."""

from __future__ import annotations

import contextlib
from pathlib import Path

import msgspec

from ibdesk.config import owner_only

# Far more than any number of drills; the rest of a longer file is not read.
_MOST_BYTES = 1_000_000


class Drill(msgspec.Struct, frozen=True, kw_only=True):
    """One proof that the account can be stopped, and the time until it was flat.

    `at_ns` is the time (ns UTC); `where` is ``gateway`` for a simulated TWS, or the mode. `failure` is empty if the
    account was flat and the books equal to it afterwards.
    """

    at_ns: int
    where: str
    account: str
    seconds: float
    by_guardian: bool
    failure: str = ""


def keep_drill(folder: Path, drill: Drill) -> None:
    """Append a drill to the record.

    Raises:
        OSError: If the file cannot be written.
    """
    with open(_path_in(folder), "ab", opener=owner_only) as file:
        file.write(msgspec.json.encode(drill) + b"\n")


def drills_in(folder: Path) -> list[Drill]:
    """Return the recorded drills, oldest first; invalid lines are skipped."""
    try:
        with _path_in(folder).open("rb") as file:
            lines = file.read(_MOST_BYTES).splitlines()
    except OSError:
        return []
    found = []
    for line in lines:
        with contextlib.suppress(msgspec.MsgspecError):
            found.append(msgspec.json.decode(line, type=Drill))
    return found


def _path_in(folder: Path) -> Path:
    return folder / "drills.jsonl"
