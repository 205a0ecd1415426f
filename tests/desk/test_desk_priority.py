"""Who goes first where processors are few."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="priorities of sessions are Linux's")

CODE = """
import os
from pathlib import Path
from ibdesk.desk.priority import give_way
give_way()
give_way()
shares = Path("/proc/self/autogroup")
print(os.getpriority(os.PRIO_PROCESS, 0), shares.read_text().split()[-1] if shares.exists() else "5")
"""


def priorities(*, own_session: bool) -> list[int]:
    """Those of a process that has given way: its own, and that of its session."""
    words = [sys.executable, "-c", CODE]
    said = subprocess.run(words, capture_output=True, text=True, check=True, start_new_session=own_session).stdout
    return [int(word) for word in said.split()]


def test_a_process_goes_behind_and_so_does_its_session() -> None:
    assert os.getpriority(os.PRIO_PROCESS, 0) == 0, "the tests themselves run at another priority"

    assert priorities(own_session=True) == [5, 5]


@pytest.mark.skipif(not Path("/proc/self/autogroup").exists(), reason="this kernel shares out by process alone")
def test_a_session_that_is_shared_keeps_its_priority() -> None:
    own = int(Path("/proc/self/autogroup").read_text().split()[-1])

    assert priorities(own_session=False) == [5, own]
