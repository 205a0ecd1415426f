"""`ibdesk simulate`: runs seeds of faults on virtual time and checks the promises at every step."""

from __future__ import annotations

import re
import time

from ibdesk.cli.screen import console, line, step
from ibdesk.errors import ConfigError, IbdeskError
from ibdesk.simulation.campaign import command_of, kept, processors, run_seeds, shrink
from ibdesk.simulation.drawing import plan_of
from ibdesk.simulation.world import SeedResult, simulate

_SEEDS = re.compile(r"(\d{1,12})(?::(\d{1,12}))?")


class BrokenPromiseError(IbdeskError):
    """At least one seed broke a promise."""

    def __init__(self, broken: int, seeds: int) -> None:
        super().__init__(broken, seeds)
        self.broken, self.seeds = broken, seeds

    def __str__(self) -> str:
        return f"{self.broken} of {self.seeds:,} seeds broke a promise: their commands are printed above"


def run_simulations(seeds: str, *, until: float | None, keep: str | None, workers: int | None) -> None:
    """Simulate seeds and print the results; a single seed prints its events in full.

    Raises:
        ConfigError: If an option is invalid.
        BrokenPromiseError: If a promise was broken.
    """
    chosen = seeds_of(seeds)
    if len(chosen) == 1 or until is not None or keep is not None:
        if len(chosen) != 1:
            raise ConfigError(f"--until and --keep need a single seed; --seeds {seeds} names {len(chosen):,}")
        _tell_one(chosen[0], until, keep)
        return
    _run_many(chosen, workers or processors())


def seeds_of(text: str) -> range:
    """Return the seeds of ``17`` or ``0:1000``; the end is excluded.

    Raises:
        ConfigError: If the text names no seed.
    """
    match = _SEEDS.fullmatch(text)
    first = int(match[1]) if match else 0
    seeds = range(first, int(match[2]) if match and match[2] else first + 1)
    if match is None or not seeds:
        raise ConfigError(f"--seeds must be a number or a range such as 0:1000, got {text!r}")
    return seeds


def _tell_one(seed: int, until: float | None, keep: str | None) -> None:
    plan = plan_of(seed)
    for number, each in enumerate(plan.steps, start=1):
        line(f"step {number}", each.words)
    if keep is not None:
        plan = kept(plan, _numbers(keep, len(plan.steps)))
    outcome = simulate(plan, until=until, verbose=True)
    line(
        "result",
        f"{outcome.orders} orders, {outcome.executions} executions, {outcome.generations} engine generations",
    )
    line("trace", outcome.trace)
    if outcome.violation is not None:
        _tell_violation(outcome)
        raise BrokenPromiseError(1, 1)


def _run_many(seeds: range, workers: int) -> None:
    began, broken, orders, executions, generations = time.perf_counter(), 0, 0, 0, 0
    for number, outcome in enumerate(run_seeds(seeds, workers=workers), start=1):
        orders, executions = orders + outcome.orders, executions + outcome.executions
        generations += outcome.generations
        if outcome.violation is not None:
            broken += 1
            _tell_violation(outcome)
            numbers, smaller = shrink(outcome.plan, outcome.violation.promise)
            if smaller is not None:
                line("smallest", f"{len(numbers)} of {len(outcome.plan.steps)} steps: {command_of(smaller, numbers)}")
        if number % 100 == 0:
            line(f"{number:,}", f"seeds, {number / (time.perf_counter() - began):.1f} per second, {broken} broken")
    seconds = time.perf_counter() - began
    step(f"{len(seeds):,} seeds in {seconds:.0f} s, {len(seeds) / seconds:.2f} per second on {workers} processors")
    line("total", f"{orders:,} orders, {executions:,} executions, {generations:,} engine generations")
    if broken:
        raise BrokenPromiseError(broken, len(seeds))


def _tell_violation(outcome: SeedResult) -> None:
    violation = outcome.violation
    assert violation is not None  # noqa: S101 - callers have looked
    console.print(f"[bold red]seed {outcome.plan.seed} broke a promise[/] at {violation.at:g} s: {violation.promise}")
    line("facts", violation.facts)
    line("reproduce", command_of(outcome))


def _numbers(text: str, most: int) -> list[int]:
    if text == "none":
        return []
    try:
        numbers = [int(part) for part in text.split(",")]
    except ValueError:
        numbers = [0]
    if not all(1 <= number <= most for number in numbers):
        raise ConfigError(f"--keep must name steps from 1 to {most}, such as 2,5, or none; got {text!r}")
    return numbers
