"""Priority on few processors: the engine goes first, if configured and if the machine allows it."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.stack import may_go_first

from ibdesk.desk import AttachedDesk

if TYPE_CHECKING:
    from tests.processes.conftest import MakeStack


@pytest.mark.skipif(sys.platform != "linux", reason="priorities are Linux's")
@pytest.mark.parametrize("wanted", ["true", "false"])
def test_the_engine_goes_before_all_other_programs_where_it_is_wanted_and_may(
    make_stack: MakeStack, wanted: str
) -> None:
    stack = make_stack(IBDESK_REAL_TIME_PRIORITY=wanted)
    goes_first = wanted == "true" and may_go_first()

    engine = stack.start_engine()
    with AttachedDesk.open(f"unix:{stack.desk_socket}") as desk:
        told = desk.process().vitals.real_time

    assert told is goes_first
    threads = [int(path.name) for path in Path(f"/proc/{engine.pid}/task").iterdir()]
    assert {os.sched_getscheduler(thread) for thread in threads} == {os.SCHED_RR if goes_first else os.SCHED_OTHER}
    assert ("priority" in engine.said) is (wanted == "true")
