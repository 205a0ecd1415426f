"""Fault scripts drawn at random from a seed."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping

from ibdesk.errors import ConfigError
from ibdesk.gateway.faults.kinds import KINDS
from ibdesk.gateway.faults.script import At, FaultScript

INTENSITY = 0.2
"""The default number of faults of each kind per minute."""


def random_script(
    seed: int,
    duration_seconds: float,
    *,
    intensity: float | Mapping[str, float] = INTENSITY,
    kinds: Iterable[str] | None = None,
) -> FaultScript:
    """Return a script of faults at random times within `duration_seconds`, the same for the same arguments.

    `intensity` is the average number of faults per minute, for each kind or by the kind's name; `kinds` are the names
    of those to draw, by default all of `KINDS` or of `intensity`. The times of a kind are independent of each other and
    of other kinds (a Poisson process).

    Raises:
        ConfigError: If a kind is unknown, or a number is not valid.
    """
    rates = (
        dict(intensity)
        if isinstance(intensity, Mapping)
        else dict.fromkeys(KINDS if kinds is None else kinds, intensity)
    )
    chosen = sorted(rates if kinds is None else set(kinds))
    for kind in chosen:
        if kind not in KINDS:
            raise ConfigError(f"random faults: unknown kind {kind!r}: must be one of {', '.join(sorted(KINDS))}")
        if not 0 <= rates.get(kind, 0) <= 600:
            raise ConfigError(f"random faults: intensity of {kind} must be from 0 to 600 a minute, got {rates[kind]:g}")
    if not 0 < duration_seconds <= 86_400:
        raise ConfigError(f"random faults: duration must be above 0 and at most a day, got {duration_seconds:g}")
    steps = [step for kind in chosen for step in _of_kind(seed, kind, rates.get(kind, 0.0) / 60, duration_seconds)]
    steps.sort(key=_moment)
    return FaultScript(tuple(steps), seed).checked()


def _of_kind(seed: int, kind: str, per_second: float, duration_seconds: float) -> list[At]:
    # Each kind has its own random source, so adding a kind does not change the times of the others.
    chance = random.Random(f"{seed} {kind}")  # noqa: S311 - repeatable on purpose
    steps: list[At] = []
    at = chance.expovariate(per_second) if per_second else duration_seconds
    while at < duration_seconds:
        steps.append(At(round(at, 3), KINDS[kind].drawn(chance)))
        at += chance.expovariate(per_second)
    return steps


def _moment(step: At) -> float:
    return float(step.at)
