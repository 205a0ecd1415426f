"""A login is shown to a person at a terminal; a file or a service's log holds none."""

from __future__ import annotations

import contextlib
import os
import pty
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.plain_http import PLAIN

pytestmark = pytest.mark.timeout(240)

CODE = "code="


def read_terminal(master: int, ends_with: str, found: list[str]) -> None:
    """Read what a program shows on its terminal, up to some words."""
    with contextlib.suppress(OSError):
        while ends_with not in "".join(found):
            found.append(os.read(master, 4096).decode())


def test_a_server_whose_output_is_kept_shows_no_login(home: Any) -> None:
    # As a service manager or a shell has it that asks for colors on pipes too.
    home.environment |= {"FORCE_COLOR": "1", "TTY_COMPATIBLE": "1"}
    program = home.start("web", "--port", 0)
    del home.environment["FORCE_COLOR"], home.environment["TTY_COMPATIBLE"]
    url = program.until(r"API +\S*?(http://127\.0\.0\.1:\d+)")[1]
    program.until("Ctrl-C")

    login = home.start("login", "--at", url).end().out.strip()

    with httpx.Client(**PLAIN) as browser:
        assert browser.get(login).status_code == 303
        # It was good once.
        assert browser.get(login).status_code == 401
        assert browser.get(f"{url}/api/v1/auth/me").json()["role"] == "admin"
    program.press_ctrl_c()
    told = program.end()
    assert CODE in login
    assert CODE not in told.out + told.err
    for log in home.path.rglob("*.log*"):
        assert CODE not in log.read_text()


def test_a_server_on_a_terminal_shows_a_login(home: Any, tmp_path: Path) -> None:
    master, slave = pty.openpty()
    words = [sys.executable, "-m", "ibdesk.cli", "web", "--port", "0"]
    program = subprocess.Popen(words, env=home.environment, stdin=slave, stdout=slave, stderr=slave)
    os.close(slave)
    found: list[str] = []
    reader = threading.Thread(target=read_terminal, args=(master, "Ctrl-C", found))
    reader.start()
    try:
        reader.join(120)
        assert re.search(r"/login\?code=[\w-]{40,}", "".join(found)), found
    finally:
        program.send_signal(signal.SIGINT)
        assert program.wait(30) == 0
        os.close(master)


def test_a_dashboard_that_is_started_by_hand_into_a_file_shows_no_login(home: Any, tmp_path: Path) -> None:
    key_file = home.path / "dashboard-test.key"
    key_file.write_text("k" * 43 + "\n")
    key_file.chmod(0o600)
    words = [sys.executable, "-m", "ibdesk_server.dashboard", "--port", "0", "--key-file", str(key_file)]
    out = tmp_path / "out"
    with out.open("wb") as file:
        program = subprocess.Popen(words, env=home.environment, stdin=subprocess.DEVNULL, stdout=file, stderr=file)
    try:
        for _ in range(1_200):
            if out.read_text():
                break
            assert program.poll() is None
            with contextlib.suppress(subprocess.TimeoutExpired):
                program.wait(0.1)
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+/login\n", out.read_text())
    finally:
        program.terminate()
        program.wait(30)


def test_the_version_is_told(cli: Any) -> None:
    told = cli("--version")

    assert (told.code, re.fullmatch(r"ibdesk \d+\.\d+\.\d+\S*\n", told.out) is not None) == (0, True)


def test_tables_are_whole_on_a_pipe(home: Any) -> None:
    scopes = "orders:read,feed,health:read,journal:read,backtests:read,market:read"
    assert home.start("keys", "create", "a-program-with-a-long-name", "--scope", scopes).end().code == 0

    listed = home.start("keys", "list").end().out
    shown = home.start("audit", "show").end().out

    for scope in scopes.split(","):
        assert scope in listed
    assert "a-program-with-a-long-name" in listed
    assert "…" not in listed + shown
    # One line a key: the words of none are folded into the next.
    [row] = [line for line in listed.splitlines() if "a-program-with" in line]
    assert all(scope in row for scope in scopes.split(","))
    assert re.search(r"keys\.create.*key=a-program-with-a-long-name, prefix=\w+, role_given=viewer", shown)


@pytest.mark.parametrize("span", ["1d", "24h", "P1D", "PT24H", "1440m"])
def test_the_life_of_a_key_is_written_in_one_form(cli: Any, span: str) -> None:
    told = cli("keys", "create", f"key-{span.lower()}", "--expires", span)

    assert told.code == 0
    assert "valid until" in told.out
