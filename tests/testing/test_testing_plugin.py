"""The pytest plug-in as somebody meets it who has ibdesk installed: a folder of tests of its own, and pytest."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

import ibdesk.testing
from ibdesk.testing.gateway import RunningGateway

# Plug-ins that these tests have no use for would take a second of each start. The last line is for pytest-asyncio,
# which warns without it.
SETTINGS = """[pytest]
addopts = -p no:cacheprovider -p no:schemathesis -p no:hypothesispytest -p no:locust -p no:anyio
filterwarnings = error
asyncio_default_fixture_loop_scope = function
"""
GUIDE = Path(__file__).parents[2] / "docs" / "howto" / "test-a-tws-client.md"


class Outcome(NamedTuple):
    """What pytest said."""

    code: int
    out: str

    def counts(self) -> dict[str, int]:
        """How many tests passed, failed and so on."""
        return {word: int(count) for count, word in re.findall(r"(\d+) (passed|failed|errors?|warnings?)", self.out)}


Run = Callable[..., Outcome]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Run pytest on a file of tests, with every warning an error, in a folder that is no part of this project."""

    def run(tests: str, *options: str) -> Outcome:
        (tmp_path / "pytest.ini").write_text(SETTINGS)
        (tmp_path / "test_mine.py").write_text(textwrap.dedent(tests))
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", *options],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=50,
            check=False,
        )
        return Outcome(done.returncode, done.stdout + done.stderr)

    return run


def example() -> str:
    """The example in the docstring of `ibdesk.testing`."""
    text = inspect.cleandoc(ibdesk.testing.__doc__ or "")
    return textwrap.dedent(text[text.index("    import asyncio") : text.index("Fixtures:")]).strip()


def test_the_example_of_the_documentation_passes(run: Run) -> None:
    told = run(example())

    assert told.counts() == {"passed": 1}, told.out


def test_the_example_fails_when_the_program_does_something_else(run: Run) -> None:
    told = run(example().replace('LimitOrder("BUY", 9, 99.50)', 'LimitOrder("BUY", 9, 99.40)'))

    assert told.counts() == {"failed": 1}, told.out
    assert "no order with status Filled came in 5 s; the orders are: client 1 order" in told.out
    assert "BUY 9 AAPL LMT 99.4 DAY: Submitted" in told.out


def test_the_guide_shows_the_same_example() -> None:
    assert example() in GUIDE.read_text(encoding="utf-8")


def test_every_test_has_a_gateway_of_its_own_that_ends_however_the_test_does(run: Run) -> None:
    told = run(
        """
        import gc, socket, threading
        import pytest

        ports = []

        @pytest.mark.parametrize("fails", [False, True, False])
        def test_of_a_new_gateway(gateway, fails):
            ports.append(gateway.port)
            with socket.create_connection((gateway.host, gateway.port)) as client:
                client.sendall(b"API\\0")
                assert not fails

        def test_of_what_is_left():
            gc.collect()
            assert [thread.name for thread in threading.enumerate() if "ibdesk" in thread.name] == []
            for port in ports:
                with pytest.raises(OSError):
                    socket.create_connection(("127.0.0.1", port), 1)
        """
    )

    assert told.counts() == {"passed": 3, "failed": 1}, told.out


def test_it_works_in_parallel(run: Run) -> None:
    told = run(
        """
        import pytest

        @pytest.mark.parametrize("number", range(6))
        def test_of_a_gateway(gateway, market, number):
            market.quote("AAPL", 90 + number, 91 + number)
            assert gateway.orders == ()
        """,
        "-n",
        "2",
    )

    assert told.counts() == {"passed": 6}, told.out


def test_the_marker_says_how_the_gateway_is(run: Run) -> None:
    told = run(
        """
        import pytest
        from ibdesk.clock import SECOND
        from ibdesk.gateway.market.script import MarketScript

        def now(gateway):
            return gateway.call(lambda: gateway.inner.schedule.now_ns)

        @pytest.mark.gateway(clock="stepped", cash=5000, accounts=("DU1", "DU2"))
        def test_of_a_stepped_clock(gateway):
            began = now(gateway)
            gateway.advance(3600)
            assert now(gateway) - began == 3600 * SECOND
            assert gateway.account == "DU1"

        @pytest.mark.gateway(clock="stepped", market=MarketScript().quote("IBM", 5, 6, at=0).quote("IBM", 7, 8, at=60))
        def test_of_a_script(gateway):
            tape = gateway.inner.tape
            assert gateway.call(lambda: tape.quote("IBM")).bid == 5
            gateway.advance(60)
            assert gateway.call(lambda: tape.quote("IBM")).bid == 7

        @pytest.mark.gateway(symbols=["KO"], seed=3, clock=20)
        def test_of_a_random_walk(gateway):
            assert gateway.inner.market.symbols == ("KO",)
        """
    )

    assert told.counts() == {"passed": 3}, told.out


@pytest.mark.parametrize(
    ("marker", "sentence"),
    [
        ("color='red'", "the marker gateway does not take color; it takes "),
        ("clock='later'", 'clock="real", clock="stepped" or a speed above 0, got \'later\''),
        ("'stepped'", "give the marker gateway its options by name"),
        ("clock=0", "or a speed above 0, got 0"),
    ],
)
def test_a_wrong_marker_is_told_in_a_sentence(run: Run, marker: str, sentence: str) -> None:
    told = run(f"import pytest\n@pytest.mark.gateway({marker})\ndef test_it(gateway): pass\n")

    assert told.counts() in ({"error": 1}, {"errors": 1}), told.out
    assert sentence in told.out


def test_a_fixture_of_the_same_name_in_a_conftest_takes_the_place_of_ours(run: Run, tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text("import pytest\n@pytest.fixture\ndef market(): return 'theirs'\n")

    told = run("def test_it(market): assert market == 'theirs'\n")

    assert told.counts() == {"passed": 1}, told.out


def test_pytest_knows_the_marker_and_the_fixtures(run: Run) -> None:
    told = run("def test_it(): pass\n", "--markers", "--strict-markers")
    assert "@pytest.mark.gateway(seed=, market=" in told.out

    told = run("def test_it(): pass\n", "--fixtures")
    for name in ("gateway", "market", "faults", "desk"):
        assert re.search(rf"^{name} -- ", told.out, re.MULTILINE), told.out


def test_the_plugin_costs_next_to_nothing_where_it_is_not_used() -> None:
    program = (
        "import sys, time, pytest, typing\n"
        "before = set(sys.modules)\n"
        "began = time.perf_counter()\n"
        "import ibdesk.testing.plugin\n"
        "took = time.perf_counter() - began\n"
        "print(took, *sorted(set(sys.modules) - before))\n"
    )

    took, *loaded = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=True
    ).stdout.split()

    # Nothing but these modules of ours, so nothing heavy, and the budget of 30 ms has room for a busy machine.
    assert loaded == ["ibdesk", "ibdesk.lazy", "ibdesk.testing", "ibdesk.testing.plugin"]
    assert float(took) < 0.03


def test_a_gateway_is_up_in_less_than_a_tenth_of_a_second() -> None:
    took = []
    for _ in range(5):
        began = time.perf_counter()
        with RunningGateway():
            took.append(time.perf_counter() - began)

    # The least of five: what it costs, without what else the machine was doing.
    assert min(took) < 0.1
