"""Running many seeds, and shrinking a failing plan to the smallest one that still fails."""

from __future__ import annotations

import concurrent.futures
import math
import multiprocessing
import os
from collections.abc import Callable, Iterable, Iterator, Sequence

import msgspec

from ibdesk.simulation.drawing import plan_of
from ibdesk.simulation.plan import SETTLE_SECONDS, Plan
from ibdesk.simulation.world import SeedResult, simulate

# The number of smaller plans that are tried before the smallest so far is taken.
_MOST_TRIALS = 80


def kept(plan: Plan, numbers: Iterable[int]) -> Plan:
    """Return the plan with only these of its steps, numbered from 1."""
    chosen = set(numbers)
    steps = tuple(step for number, step in enumerate(plan.steps, start=1) if number in chosen)
    return msgspec.structs.replace(plan, steps=steps)


def run_seed(seed: int) -> SeedResult:
    """Simulate the plan of a seed."""
    return simulate(plan_of(seed))


def run_seeds(seeds: Sequence[int], *, workers: int) -> Iterator[SeedResult]:
    """Simulate seeds in several processes, and yield the results in the order of the seeds."""
    if workers <= 1 or len(seeds) < 2:
        yield from map(run_seed, seeds)
        return
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(workers, mp_context=context) as pool:
        yield from pool.map(run_seed, seeds, chunksize=max(1, min(8, len(seeds) // workers // 4)))


def shrink(
    plan: Plan, promise: str, *, run: Callable[[Plan], SeedResult] = simulate
) -> tuple[list[int], SeedResult | None]:
    """Return the fewest steps found, numbered from 1, that still break the same promise, and the result of that plan.

    Halves of the remaining steps are removed first, then smaller parts (delta debugging, Zeller and Hildebrandt 2002).
    """
    numbers, parts, trials = list(range(1, len(plan.steps) + 1)), 2, 0
    smallest: SeedResult | None = None

    def fails(chosen: list[int]) -> bool:
        nonlocal smallest, trials
        trials += 1
        outcome = run(kept(plan, chosen))
        if outcome.violation is None or outcome.violation.promise != promise:
            return False
        smallest = outcome
        return True

    if numbers and fails([]):
        return [], smallest
    while len(numbers) >= 2 and trials < _MOST_TRIALS:
        size = math.ceil(len(numbers) / parts)
        rests = [numbers[:at] + numbers[at + size :] for at in range(0, len(numbers), size)]
        found = next((rest for rest in rests if rest and fails(rest)), None)
        if found is not None:
            numbers, parts = found, max(parts - 1, 2)
        elif parts >= len(numbers):
            break
        else:
            parts = min(len(numbers), parts * 2)
    return numbers, smallest


def command_of(outcome: SeedResult, numbers: Sequence[int] | None = None) -> str:
    """Return the command that reproduces a violation, with all steps of its seed or only some."""
    assert outcome.violation is not None  # noqa: S101 - checked by callers
    command = f"ibdesk simulate --seeds {outcome.plan.seed}"
    if outcome.violation.at < outcome.plan.storm_seconds + SETTLE_SECONDS - 1:
        command += f" --until {math.ceil(outcome.violation.at)}"
    if numbers is not None:
        command += f" --keep {','.join(map(str, numbers)) or 'none'}"
    return command


def processors() -> int:
    """Return the number of processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
