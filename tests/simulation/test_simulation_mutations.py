"""The checker sees: faults put into the product on purpose break a promise within a stated number of seeds."""

from __future__ import annotations

import os
import subprocess
import sys

import msgspec
import pytest
from tests.simulation.mutations import MUTATIONS, SEEDS, Caught, Mutation, changed, source_of

# Those that the first seeds show; `make proof` hunts them all.
QUICK = {
    "the journal is written after the order",
    "a fill is booked to nobody's orders",
    "executions are not asked for after a break",
}
_CHOSEN = MUTATIONS if "IBDESK_PROOF_SEEDS" in os.environ else [each for each in MUTATIONS if each.name in QUICK]


_WITHOUT = """
import sys
from ibdesk.simulation.plan import plan_of
from ibdesk.simulation.world import simulate
print(simulate(plan_of(int(sys.argv[1]))).violation is None)
"""


def hunted(name: str) -> Caught | None:
    """What has shown a mutation: a seed that keeps all promises without it."""
    first = 0
    while first < SEEDS:
        found = msgspec.json.decode(
            told(["-m", "tests.simulation.mutations", name, str(first), str(SEEDS)]), type=Caught | None
        )
        if found is None or told(["-c", _WITHOUT, str(found.seed)]).strip() == "True":
            return found
        first = found.seed + 1
    return None


def told(arguments: list[str]) -> str:
    done = subprocess.run([sys.executable, *arguments], capture_output=True, text=True, timeout=1_500, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.proof
@pytest.mark.timeout(1_600)
@pytest.mark.parametrize("mutation", _CHOSEN, ids=lambda mutation: mutation.name.replace(" ", "_"))
def test_a_fault_in_the_product_is_caught(mutation: Mutation) -> None:
    assert hunted(mutation.name) is not None


def test_there_are_at_least_thirty_and_each_fits_the_source() -> None:
    assert len({mutation.name for mutation in MUTATIONS}) == len(MUTATIONS) >= 30
    assert {mutation.name for mutation in MUTATIONS} >= QUICK
    for mutation in MUTATIONS:
        for module in {patch.module for patch in mutation.patches}:
            source = source_of(module)
            patches = [patch for patch in mutation.patches if patch.module == module]
            assert changed(source, patches) != source
