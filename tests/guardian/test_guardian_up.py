"""`ibdesk up` starts the guardian and starts it again, also where the gateway lives in the engine."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.guardian.conftest import ask
from tests.stack import Program, Stack, eventually

pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    """The processes of a desk with a gateway inside the engine."""
    made = Stack(tmp_path, variables={"IBDESK_TWS__CALENDAR__REGION": "none"})
    yield made
    made.close()


def child_of(up: Program, word: str) -> int:
    """Return the child of `ibdesk up` whose command line has this word, 0 while there is none."""
    for pid in up.children():
        try:
            words = Path(f"/proc/{pid}/cmdline").read_text().split("\0")
        except OSError:
            continue
        if word in words:
            return pid
    return 0


def up_status(stack: Stack) -> dict[str, Any] | None:
    """Return the guardian's status once it is connected to the account and hears the engine."""
    try:
        status = ask(stack.state / "guardian-embedded.sock", "status")
    except OSError:
        return None
    return status if status["link"] == "up" and status["engine"] == "answers" else None


def test_up_keeps_a_guardian_and_the_guardian_finds_the_engines_gateway(stack: Stack) -> None:
    """Both are killed: a new engine has a new gateway on another port, and a stop of the old account is forgotten."""
    up = stack.start("up", "--port", str(stack.port), "--no-dashboard")
    up.until(r"end +Ctrl-C")
    first = eventually(lambda: up_status(stack), "a guardian up", seconds=40)
    guardian, engine = child_of(up, "ibdesk.guardian"), child_of(up, "engine")

    os.kill(guardian, signal.SIGKILL)
    eventually(lambda: child_of(up, "ibdesk.guardian") not in (0, guardian), "another guardian")
    second = eventually(lambda: up_status(stack), "a guardian up again")
    os.kill(engine, signal.SIGKILL)
    eventually(lambda: child_of(up, "engine") not in (0, engine), "another engine")
    third = eventually(lambda: (found := up_status(stack)) and found["engine_pid"] != engine and found, "and found")

    assert first["account"] == second["account"] == third["account"] != ""
    assert "GUARDIAN: the engine (process" in up.said
    assert up.stop() == 0
    assert not (stack.state / "guardian-embedded.sock").exists()
