"""The checker sees: faults put into the product on purpose break a promise at a seed that keeps all without them."""

from __future__ import annotations

import os
import subprocess
import sys

import msgspec
import pytest
from tests.simulation.mutations import MUTATIONS, Caught, Mutation, changed, source_of

# Those of each run of the tests; `make proof` runs all that are caught.
QUICK = {
    "the journal is written after the order",
    "a fill is booked to nobody's orders",
    "a halt ends with the desk",
}
_CAUGHT = [each for each in MUTATIONS if each.seed is not None]
_CHOSEN = _CAUGHT if "IBDESK_PROOF_SEEDS" in os.environ else [each for each in _CAUGHT if each.name in QUICK]


_WITHOUT = """
import sys
from ibdesk.simulation.drawing import plan_of
from ibdesk.simulation.world import simulate
print(simulate(plan_of(int(sys.argv[1]))).violation)
"""


def told(arguments: list[str]) -> str:
    done = subprocess.run([sys.executable, *arguments], capture_output=True, text=True, timeout=250, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.proof
@pytest.mark.timeout(600)
@pytest.mark.parametrize("mutation", _CHOSEN, ids=lambda mutation: mutation.name.replace(" ", "_"))
def test_a_fault_in_the_product_is_caught(mutation: Mutation) -> None:
    seed = mutation.seed
    assert seed is not None

    with_it = told(["-m", "tests.simulation.mutations", mutation.name, str(seed), str(seed + 1)])

    caught = msgspec.json.decode(with_it, type=Caught | None)
    assert caught is not None
    assert caught.promise == mutation.promise
    assert told(["-c", _WITHOUT, str(seed)]).strip() == "None"


def test_at_least_thirty_are_caught_and_each_other_says_why_it_is_not() -> None:
    assert len({mutation.name for mutation in MUTATIONS}) == len(MUTATIONS)
    assert len(_CAUGHT) >= 30
    assert {mutation.name for mutation in _CAUGHT} >= QUICK
    assert all(bool(mutation.missed) == (mutation.seed is None) for mutation in MUTATIONS)
    assert all(bool(mutation.promise) == (mutation.seed is not None) for mutation in MUTATIONS)


def test_each_fits_the_source() -> None:
    for mutation in MUTATIONS:
        for module in {patch.module for patch in mutation.patches}:
            source = source_of(module)
            patches = [patch for patch in mutation.patches if patch.module == module]
            assert changed(source, patches) != source
