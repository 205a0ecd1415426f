"""How the engine's process is found by the lock that it holds, and what a lock is worth that nobody holds."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from ibdesk.guardian.engine_process import EngineKill, EngineProcess, kill

_HOLDER = """
import fcntl, os, sys
file = open(sys.argv[1], "a+")
if sys.argv[2] == "locks":
    fcntl.flock(file, fcntl.LOCK_EX)
file.write(str(os.getpid()))
file.flush()
if sys.argv[2] != "locks":
    file.close()
print("ready", flush=True)
sys.stdin.read()
"""
_READER = """
import os, sys
from pathlib import Path
from ibdesk.guardian.engine_process import engine_of
# What Python loads at first use may be out of the other user's reach.
engine_of(Path(sys.argv[1]))
os.setgroups([])
os.setgid(65534)
os.setuid(65534)
found = engine_of(Path(sys.argv[1]))
print(found.pid if found else 0)
"""


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user may read."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")
@pytest.mark.parametrize("holds", [True, False])
def test_a_lock_that_another_users_process_holds_no_more_names_no_engine(open_folder: Path, *, holds: bool) -> None:
    """The process lives on, and its files are not to be seen; its locks are."""
    lock = open_folder / "paper-DU1.lock"
    words = [sys.executable, "-c", _HOLDER, str(lock), "locks" if holds else "has let go"]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        lock.chmod(0o644)

        read = subprocess.run(
            [sys.executable, "-c", _READER, str(lock)], capture_output=True, text=True, timeout=60, check=True
        )
        holder.communicate()

    assert int(read.stdout) == (holder.pid if holds else 0)


def test_an_engine_counts_as_killed_once_its_process_has_gone() -> None:
    with subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE) as process:
        before = EngineKill(process.pid, is_sent=True).failure
        killed = kill(EngineProcess(process.pid, is_stopped=False))
        process.wait()

        assert "has not ended" in before
        assert (killed, EngineKill(process.pid, is_sent=True).failure) == (True, "")


def test_a_process_that_is_not_to_be_seen_is_not_killed() -> None:
    """A signal to process 0 would go to everyone in this one's group."""
    assert not kill(EngineProcess(0, is_stopped=False))
    assert "end it where it runs" in EngineKill().failure
