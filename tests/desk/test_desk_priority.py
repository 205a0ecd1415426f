"""Process priorities where processors are few."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.stack import may_go_first

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="priorities are Linux's")

SWITCH = Path("/proc/sys/kernel/sched_autogroup_enabled")
by_session = pytest.mark.skipif(
    not SWITCH.exists() or SWITCH.read_text().strip() != "1", reason="this kernel does not share out by session"
)
OWN = "print(os.getpriority(os.PRIO_PROCESS, 0))"
OF_THE_SESSION = "print(Path('/proc/self/autogroup').read_text().split()[-1])"


def after_giving_way(asked: str, *, leads_its_session: bool) -> int:
    """What a process prints that has given way twice, in a session of its own or in one that a shell leads."""
    imports = "import os; from pathlib import Path; from ibdesk.desk.priority import give_way"
    code = f"{imports}; give_way(); give_way(); {asked}"
    words = [sys.executable, "-c", code]
    if not leads_its_session:
        words = ["sh", "-c", '"$@"; exit $?', "sh", *words]
    return int(subprocess.run(words, capture_output=True, text=True, check=True, start_new_session=True).stdout)


def test_a_process_goes_behind() -> None:
    assert os.getpriority(os.PRIO_PROCESS, 0) == 0, "the tests themselves run at another priority"

    assert after_giving_way(OWN, leads_its_session=True) == 5
    assert after_giving_way(OWN, leads_its_session=False) == 5


@by_session
def test_a_session_goes_behind_with_its_leader() -> None:
    assert after_giving_way(OF_THE_SESSION, leads_its_session=True) == 5


@by_session
def test_a_session_that_another_leads_keeps_its_priority() -> None:
    assert after_giving_way(OF_THE_SESSION, leads_its_session=False) == 0


REAL_TIME = """
import os, sys, threading
from pathlib import Path
from ibdesk.desk.priority import go_first
from ibdesk.telemetry import vitals

def policies():
    return {os.sched_getscheduler(int(path.name)) for path in Path("/proc/self/task").iterdir()}

ended = threading.Event()
for _ in range(5):
    threading.Thread(target=ended.wait, daemon=True).start()
assert not vitals().real_time
if "limited" in sys.argv:
    os.setuid(65534)
if "higher" in sys.argv:
    for thread in Path("/proc/self/task").iterdir():
        os.sched_setscheduler(int(thread.name), os.SCHED_FIFO, os.sched_param(20))
went = go_first()
threading.Thread(target=ended.wait, daemon=True).start()
kept = policies() == {os.SCHED_FIFO} and os.sched_getparam(0).sched_priority == 20
print(went, vitals().real_time, policies() == {os.SCHED_RR}, policies() == {os.SCHED_OTHER}, kept)
"""


def after_going_first(*arguments: str) -> list[bool]:
    """Whether a process went first, says so, has all threads at the priority it takes, at none, at the one it had."""
    words = [sys.executable, "-c", REAL_TIME, *arguments]
    said = subprocess.run(words, capture_output=True, text=True, check=True).stdout.split()
    return [word == "True" for word in said]


def test_all_threads_go_first_where_they_may() -> None:
    allowed = may_go_first()

    assert after_going_first() == [allowed, allowed, allowed, not allowed, False]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become a user who may not")
def test_none_goes_first_where_it_may_not() -> None:
    assert after_going_first("limited") == [False, False, False, True, False]


@pytest.mark.skipif(not may_go_first(), reason="this user may have no real-time priority: ulimit -r")
def test_a_higher_priority_that_it_was_given_is_kept() -> None:
    assert after_going_first("higher") == [True, True, False, False, True]
