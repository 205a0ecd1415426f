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


def hunted(name: str) -> Caught | None:
    command = [sys.executable, "-m", "tests.simulation.mutations", name, "0", str(SEEDS)]
    told = subprocess.run(command, capture_output=True, text=True, timeout=1_500, check=False)
    assert told.returncode == 0, told.stderr
    return msgspec.json.decode(told.stdout, type=Caught | None)


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
