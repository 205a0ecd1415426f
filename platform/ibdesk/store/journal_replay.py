"""Proof that a fresh engine, given a journal's events, does what was recorded."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import zip_longest
from pathlib import Path

import msgspec

from ibdesk.engine import Engine
from ibdesk.errors import ReplayMismatchError
from ibdesk.model import Action, PlaceOrder, Restore, StartStrategy, encode_actions, encode_event
from ibdesk.store.journal_packing import packed_path
from ibdesk.store.journal_reader import JournalReader
from ibdesk.store.recovery import restore_from_journal
from ibdesk.strategy import StrategyRegistry


class ReplayReport(msgspec.Struct, frozen=True, kw_only=True):
    """The result of a replay in which every action was equal."""

    path: str
    events: int
    actions: int
    orders: int
    runs: tuple[str, ...]
    earlier: str = ""
    """The earlier journal from which the restored snapshot was computed again."""


def replay(
    path: Path, *, registry: StrategyRegistry | None = None, progress: Callable[[int], None] | None = None
) -> ReplayReport:
    """Feed a journal to a fresh engine and compare its actions, byte for byte, with the recorded ones.

    The engine restores the recorded snapshot; if the earlier journal lies beside this one, it must give the same
    snapshot. (A replay of the earlier journal proves how it came about.)

    Strategies come from `registry`, by default from their files, whose hashes must be those recorded. `progress` is
    called with the number of each thousandth event.

    Raises:
        JournalError: If the journal cannot be read.
        StrategyError: If a strategy's file is missing or has changed.
        ReplayMismatchError: At the first action that differs.
    """
    events = actions = orders = 0
    runs: list[str] = []
    earlier = ""
    with JournalReader(path) as journal:
        header = journal.header
        strategies = (registry or StrategyRegistry()).find
        engine = Engine(strategies=strategies, limits=header.limits, client_id=header.client_id)
        for entry in journal.entries():
            replayed = engine.handle(entry.event)
            _compare(entry.number, entry.actions, replayed)
            events, actions = events + 1, actions + len(replayed)
            orders += sum(isinstance(action, PlaceOrder) for action in replayed)
            if isinstance(entry.event, StartStrategy):
                runs.append(entry.event.run_id)
            elif isinstance(entry.event, Restore):
                earlier = _check_snapshot(path.parent, entry.number, entry.event)
            if progress is not None and entry.number % 1000 == 0:
                progress(entry.number)
    return ReplayReport(
        path=str(path), events=events, actions=actions, orders=orders, runs=tuple(runs), earlier=earlier
    )


def _check_snapshot(folder: Path, number: int, command: Restore) -> str:
    """Compare the recorded snapshot with that of the earlier journal; return its name, or "" if it is gone."""
    earlier = folder / command.earlier
    if not command.earlier or not (earlier.is_file() or packed_path(earlier).is_file()):
        return ""
    left = restore_from_journal(earlier, command)
    # Halts belong to the account: its file adds halts that no journal has, and omits those lifted elsewhere.
    taken = command.snapshot
    snapshot = msgspec.structs.replace(left.snapshot, halts=taken.halts, halts_made=taken.halts_made)
    left = msgspec.structs.replace(left, snapshot=snapshot)
    if encode_event(left) != encode_event(command):
        raise ReplayMismatchError(number, str(command.snapshot), str(left.snapshot))
    return command.earlier


def _compare(number: int, recorded: Sequence[Action], replayed: Sequence[Action]) -> None:
    for before, now in zip_longest(recorded, replayed):
        sides = [None if action is None else encode_actions([action]) for action in (before, now)]
        if sides[0] != sides[1]:
            raise ReplayMismatchError(number, _words(before), _words(now))


def _words(action: Action | None) -> str:
    return "nothing" if action is None else str(action)
