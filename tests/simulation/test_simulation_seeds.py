"""Seeds are simulated to the end, twice the same, and keep all promises."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ibdesk.simulation.drawing import plan_of
from ibdesk.simulation.world import simulate

ROOT = Path(__file__).parents[2]
SEEDS = range(int(os.environ.get("IBDESK_PROOF_SEEDS", "6")))
_TRACE = """
import sys
from pathlib import Path
from ibdesk.simulation.drawing import plan_of
from ibdesk.simulation.world import simulate
print(simulate(plan_of(int(sys.argv[1]))).trace)
"""


@pytest.mark.proof
@pytest.mark.timeout(300)
@pytest.mark.parametrize("seed", SEEDS)
def test_a_seed_keeps_all_promises(seed: int) -> None:
    assert simulate(plan_of(seed)).violation is None


@pytest.mark.timeout(300)
@pytest.mark.parametrize("seed", [3, 38])
def test_a_seed_gives_the_same_trace_in_every_process(seed: int) -> None:
    """Whatever the order of unordered sets, which Python draws anew for each process."""
    traces = {
        subprocess.run(
            [sys.executable, "-c", _TRACE, str(seed)],
            env=os.environ | {"PYTHONHASHSEED": hash_seed},
            capture_output=True,
            text=True,
            check=True,
            timeout=250,
        ).stdout
        for hash_seed in ("1", "2")
    }

    assert len(traces) == 1
    assert len(traces.pop().strip()) == 64


def test_another_seed_is_another_history() -> None:
    assert simulate(plan_of(1), until=5).trace != simulate(plan_of(2), until=5).trace


def test_a_simulation_that_is_cut_short_is_the_beginning_of_the_whole() -> None:
    short, long = simulate(plan_of(4), until=10), simulate(plan_of(4), until=12)

    assert simulate(plan_of(4), until=10).trace == short.trace
    assert long.orders >= short.orders


_UNREPEATABLE = """
import datetime as dt
import random
import secrets
import threading
import time
from time import monotonic

FOUND = time.time(), monotonic(), dt.datetime.now(dt.UTC), random.choice([1, 2]), threading.Thread()
"""


@pytest.mark.parametrize("room", ["engine", "tws", "desk", "store", "gateway", "guardian", "simulation"])
def test_real_time_chance_and_threads_are_refused_in_what_is_simulated(room: str) -> None:
    path = f"platform/ibdesk/{room}/some_new_module.py"
    options = ["--select", "TID251", "--output-format", "concise", "--stdin-filename", path, "-"]

    told = subprocess.run(
        [Path(sys.executable).with_name("ruff"), "check", *options],
        input=_UNREPEATABLE,
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=50,
        check=False,
    )

    banned = ["datetime.datetime.now", "random.choice", "secrets", "threading.Thread", "time.monotonic", "time.time"]
    found = {line.split("`")[1] for line in told.stdout.splitlines() if "TID251" in line}
    assert found == set(banned), told.stdout
