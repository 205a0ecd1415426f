"""ib_insync passes the suite that ib_async passes, in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
INSTALLED = ROOT / ".venv" / "clients"
SECONDS = 150


@pytest.mark.timeout(SECONDS + 10)
def test_ib_insync_passes_the_suite() -> None:
    if not (INSTALLED / "ib_insync").is_dir():
        missing = "ib_insync is not in .venv/clients: run `make setup`"
        if os.environ.get("CI") == "true":
            pytest.fail(missing, pytrace=False)
        pytest.skip(missing)

    done = subprocess.run(
        [sys.executable, "-m", "pytest", HERE / "suite", "-q", "--tb=short", *_ARGUMENTS],
        cwd=ROOT,
        env={**os.environ, "IBDESK_CLIENT": "ib_insync", "PYTHONPATH": str(INSTALLED)},
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )

    if done.returncode:
        pytest.fail(f"ib_insync does not pass the suite:\n{done.stdout}{done.stderr}", pytrace=False)


_ARGUMENTS = (
    # tests/gateway/conftest.py imports ib_async, which needs another version of eventkit: it is left out.
    f"--confcutdir={HERE}",
    # A test run within a test run: it has the one process, writes nothing, and colors nothing.
    *("-p", "no:xdist", "-p", "no:cacheprovider", "--color=no"),
)
