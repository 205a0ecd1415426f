"""`ibdesk engine`, `ibdesk web` and `ibdesk up`: a desk in processes of their own, joined by the desk port."""

from __future__ import annotations

import os
import re
import signal
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.plain_http import PLAIN
from tests.stack import eventually

from ibdesk.desk import Desk

ROOT = Path(__file__).parent.parent.parent
EMA_CROSS = ROOT / "strategies" / "ema_cross.py"

pytestmark = pytest.mark.timeout(300)


def key_of(home: Any) -> str:
    return str(next(home.path.rglob("api.key")).read_text().strip())


def answer(url: str, path: str, home: Any) -> httpx.Response:
    return httpx.get(f"{url}{path}", headers={"X-API-Key": key_of(home)}, timeout=20, **PLAIN)


def test_a_desk_is_served_by_other_processes_and_reached_from_a_program(home: Any) -> None:
    engine = home.start("engine", "--strategy", EMA_CROSS, "--on", "AAPL", "--speed", 50)
    address = engine.until(r"desk port +(unix:\S+)")[1]
    web = home.start("web", "--port", 0, "--desk", address)
    url = web.until(r"API +(http://127\.0\.0\.1:\d+)")[1]

    with Desk.attach(address) as desk:
        [run] = desk.runs()
        assert desk.health().mode == "embedded"
    assert answer(url, "/health/ready", home).status_code == 200
    assert answer(url, "/api/v1/runs", home).json()["items"][0]["run_id"] == run.run_id

    engine.press_ctrl_c()
    assert engine.end().code == 0
    eventually(lambda: answer(url, "/health/ready", home).status_code == 503, "the web says that the engine is gone")
    assert answer(url, "/health/live", home).status_code == 200
    problem = answer(url, "/api/v1/runs", home)
    assert problem.status_code == 503
    assert "the engine is away" in problem.json()["detail"]

    again = home.start("engine", "--desk", address)
    again.until("desk port")
    eventually(lambda: answer(url, "/health/ready", home).status_code == 200, "the web finds the next engine by itself")
    web.terminate()
    assert web.end().code == 0
    again.terminate()
    assert (again.end().code, web.left_behind(), again.left_behind()) == (0, [], [])


def test_a_second_engine_at_the_same_address_is_refused_in_one_sentence(home: Any) -> None:
    first = home.start("engine")
    first.until("desk port")

    second = home.start("engine").end()
    first.terminate()

    assert second.code == 2
    assert "another desk answers at unix:" in second.err
    assert "Traceback" not in second.err
    assert first.end().code == 0


def workers_of(pid: int) -> list[int]:
    """The processes of `ibdesk web` that a process has started."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            command = (folder / "cmdline").read_text().split("\0")
        except (OSError, ValueError):
            continue
        if parent == pid and "web" in command:
            found.append(int(folder.name))
    return sorted(found)


def test_all_of_it_is_started_looked_after_and_ended_by_one_command(home: Any) -> None:
    program = home.start("up", "--port", 0, "--no-dashboard", "--workers", 2, "--strategy", EMA_CROSS, "--on", "AAPL")
    url = program.until(r"API +(http://127\.0\.0\.1:\d+)")[1]
    program.until(r"end +Ctrl-C")
    before = workers_of(program.pid)

    os.kill(before[0], signal.SIGKILL)
    eventually(
        lambda: len(set(workers_of(program.pid)) - set(before)) == 1, "another worker takes the dead one's place"
    )
    eventually(lambda: all(answer(url, "/health/ready", home).is_success for _ in range(8)), "both answer")
    program.press_ctrl_c()
    told = program.end()

    assert len(before) == 2
    assert told.code == 0
    assert "web worker 1 was killed (SIGKILL)" in told.err
    assert re.search(r"run +EmaCross-\w+ on 5 secs bars of AAPL", told.out)
    assert program.left_behind() == []


def test_what_the_engine_refuses_is_said_by_the_command_that_started_it(home: Any) -> None:
    told = home.start("up", "--mode", "paper", "--tws-port", 1, "--port", 0, "--no-dashboard").end()

    assert told.code == 1
    assert "127.0.0.1:1" in told.err
    assert "Traceback" not in told.err
    assert home.start("up", "--mode", "live", "--port", 0).end().code == 2
