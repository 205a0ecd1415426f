"""`make tutorial`: type the tutorial into an empty environment and print how long each step takes.

A clone of this checkout, without `.venv` and with an empty home, gets the page's files and commands in their order.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.docs.console import steps_of
from tests.docs.pages import ROOT, blocks_of

PAGE = ROOT / "docs" / "tutorial" / "first-ten-minutes.md"
ORDER_FILLED = re.compile(r"^\d\d:\d\d .* [1-9]\d* fills |\bbought \d+ .* at ")


def main() -> int:
    """Type the page and print the minutes to the environment, to the first filled orders and to the end."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        clone = Path(folder) / "ibdesk"
        subprocess.run(["git", "clone", "--quiet", "--no-hardlinks", ROOT, clone], check=True)
        home = Path(folder) / "home"
        home.mkdir()
        # What a new user's shell has, and a package cache that is empty.
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("IBDESK_", "VIRTUAL_ENV"))}
        shell = subprocess.Popen(
            ["bash", "-m", "-c", _script()],
            cwd=clone,
            env={**kept, "HOME": str(home), "NO_COLOR": "1", "PYTHONUNBUFFERED": "1", "COLUMNS": "110"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        try:
            return _follow(shell, began)
        finally:
            if shell.poll() is None:
                os.killpg(shell.pid, signal.SIGINT)
                shell.wait(60)


def _script() -> str:
    """Return the page as a script: its files, its commands, and the end of what runs in the background."""
    lines = ["set -e"]
    for block in blocks_of(PAGE):
        if saved := re.match(r"# (\S+\.py)\n", block.text):
            lines.append(f"cat > {saved[1]} <<'END_OF_FILE'\n{block.text}\nEND_OF_FILE")
        elif block.language in ("sh", "console"):
            commands = [step.command for step in steps_of(block.text)] or block.text.splitlines()
            for command in commands:
                quoted = command.replace("'", "'\\''")
                lines += [f"echo '$ {quoted}'", command]
                if command.endswith("&"):
                    # A person waits for the addresses.
                    lines.append("sleep 30")
    lines += ["kill -INT %1", "wait || true", "echo '$ end'"]
    return "\n".join(lines)


def _follow(shell: subprocess.Popen[str], began: float) -> int:
    assert shell.stdout is not None
    command, filled = "", set[str]()
    for line in shell.stdout:
        minutes = (time.monotonic() - began) / 60
        if line.startswith("$ "):
            command = line.removeprefix("$ ").strip()
            sys.stdout.write(f"{minutes:5.1f} min  {command}\n")
        elif ORDER_FILLED.search(line) and command not in filled:
            filled.add(command)
            sys.stdout.write(f"{minutes:5.1f} min      the first filled order: {line.strip()}\n")
        elif os.environ.get("IBDESK_TUTORIAL_VERBOSE"):
            sys.stdout.write(f"           {line}")
        sys.stdout.flush()
    code = shell.wait()
    if code or not filled:
        sys.stdout.write(f"the tutorial failed with code {code} at: {command}\n")
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
