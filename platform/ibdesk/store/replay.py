"""Proves that a fresh engine, fed a journal's events, does what was recorded."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import zip_longest
from pathlib import Path

import msgspec

from ibdesk.engine import Engine
from ibdesk.errors import ReplayMismatchError
from ibdesk.model import Action, PlaceOrder, StartStrategy, encode_actions
from ibdesk.store.journal import JournalReader
from ibdesk.strategy import StrategyShelf


class ReplayReport(msgspec.Struct, frozen=True, kw_only=True):
    """What a replay went through; it is given only when every action was equal."""

    path: str
    events: int
    actions: int
    orders: int
    runs: tuple[str, ...]


def replay(
    path: Path, *, shelf: StrategyShelf | None = None, progress: Callable[[int], None] | None = None
) -> ReplayReport:
    """Feed a journal to a fresh engine and compare its actions, byte for byte, with the recorded ones.

    Strategies come from `shelf`, by default from their files, whose hashes must be those recorded. `progress` is
    called with the number of each thousandth event.

    Raises:
        JournalError: If the journal cannot be read.
        StrategyError: If a strategy's file is missing or has changed.
        ReplayMismatchError: At the first action that differs.
    """
    events = actions = orders = 0
    runs: list[str] = []
    with JournalReader(path) as journal:
        engine = Engine(strategies=(shelf or StrategyShelf()).find, limits=journal.header.limits)
        for entry in journal.entries():
            replayed = engine.handle(entry.event)
            _compare(entry.number, entry.actions, replayed)
            events, actions = events + 1, actions + len(replayed)
            orders += sum(isinstance(action, PlaceOrder) for action in replayed)
            if isinstance(entry.event, StartStrategy):
                runs.append(entry.event.run_id)
            if progress is not None and entry.number % 1000 == 0:
                progress(entry.number)
    return ReplayReport(path=str(path), events=events, actions=actions, orders=orders, runs=tuple(runs))


def _compare(number: int, recorded: Sequence[Action], replayed: Sequence[Action]) -> None:
    for before, now in zip_longest(recorded, replayed):
        sides = [None if action is None else encode_actions([action]) for action in (before, now)]
        if sides[0] != sides[1]:
            raise ReplayMismatchError(number, _words(before), _words(now))


def _words(action: Action | None) -> str:
    return "nothing" if action is None else str(action)
