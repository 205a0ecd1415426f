"""The record of drills: one JSON object a line in ``drills.jsonl`` of the state folder."""

from __future__ import annotations

import contextlib
from pathlib import Path

import msgspec

from ibdesk.config import owner_only

# Far more than any number of drills; what is beyond is not read.
_MOST_BYTES = 1_000_000


class Drill(msgspec.Struct, frozen=True, kw_only=True):
    """One proof that the account can be stopped, and how long it took until it was flat.

    `at_ns` is when (ns UTC), `where` the gateway of its own (``gateway``) or the mode. `failure` is empty when the
    account was flat and the books were equal to it afterwards.
    """

    at_ns: int
    where: str
    account: str
    seconds: float
    by_guardian: bool
    failure: str = ""


def keep_drill(folder: Path, drill: Drill) -> None:
    """Add a drill to the record.

    Raises:
        OSError: If it cannot be written.
    """
    with open(_path_in(folder), "ab", opener=owner_only) as file:
        file.write(msgspec.json.encode(drill) + b"\n")


def drills_in(folder: Path) -> list[Drill]:
    """Return the drills on record, oldest first; lines that are none are left out."""
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
