"""Console transcripts: each command is run and its output compared with the page."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

BIN = Path(sys.executable).parent


class Step(NamedTuple):
    """A command of a transcript and the output that the page shows."""

    command: str
    output: list[str]


def steps_of(text: str) -> list[Step]:
    """Return the commands of a transcript; a command continues behind a backslash."""
    steps: list[Step] = []
    lines = iter(text.splitlines())
    for line in lines:
        if line.startswith("$ "):
            command = line.removeprefix("$ ")
            while command.endswith("\\"):
                command = command.removesuffix("\\").rstrip() + " " + next(lines).strip()
            steps.append(Step(command, []))
        elif steps:
            steps[-1].output.append(line)
    return steps


def agrees(shown: list[str], printed: str) -> bool:
    """Return whether output is as shown: `…` stands for any text, on a line of its own for any lines."""
    pattern = ""
    for line in (" ".join(line.split()) for line in shown if line.strip()):
        pattern += r"(?:[^\n]*\n)*" if line == "…" else re.escape(line).replace("…", r"[^\n]*") + r"\n"
    got = "".join(" ".join(line.split()) + "\n" for line in printed.splitlines() if line.strip())
    return re.fullmatch(pattern, got) is not None


class Console:
    """A shell in a folder; what it starts in the background ends with it."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self._folder, self._running = folder, list[subprocess.Popen[str]]()
        self._environment = {
            **os.environ,
            **environment,
            "PATH": f"{BIN}:{os.environ['PATH']}",
            "COLUMNS": "120",
            "NO_COLOR": "1",
            "TERM": "dumb",
        }

    def type(self, step: Step) -> None:
        """Run a command and compare; one that ends with `&` stays until the page ends.

        Raises:
            AssertionError: If its output differs from the page's.
        """
        if step.command.endswith("&"):
            self._start(step)
            return
        done = subprocess.run(
            ["bash", "-c", step.command],
            cwd=self._folder,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=180,
            check=False,
        )
        assert agrees(step.output, done.stdout), f"$ {step.command}\n{done.stdout}"

    def _start(self, step: Step) -> None:
        log = self._folder / f"background-{len(self._running)}.log"
        with log.open("w", encoding="utf-8") as out:
            self._running.append(
                subprocess.Popen(
                    ["bash", "-c", f"exec {step.command.removesuffix('&')}"],
                    cwd=self._folder,
                    env=self._environment,
                    stdin=subprocess.DEVNULL,
                    stdout=out,
                    stderr=subprocess.STDOUT,
                    text=True,
                    start_new_session=True,
                )
            )
        until = time.monotonic() + 60
        while not agrees([*step.output, "…"], log.read_text(encoding="utf-8")):
            assert time.monotonic() < until, f"$ {step.command}\n{log.read_text(encoding='utf-8')}"
            assert self._running[-1].poll() is None, f"$ {step.command} ended\n{log.read_text(encoding='utf-8')}"
            time.sleep(0.1)

    def end(self) -> None:
        """End what was started in the background as Ctrl-C would."""
        for process in reversed(self._running):
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGINT)
                try:
                    process.wait(30)
                except subprocess.TimeoutExpired:
                    os.killpg(process.pid, signal.SIGKILL)
                    process.wait()
