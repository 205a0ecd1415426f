"""The API under load: viewers, traders and feed watchers by Locust, on a desk on the embedded gateway.

    python -m tests.load.rest --users 50 --seconds 20

It starts engine and web server as processes, runs `locustfile` against them, and prints what each endpoint answered
and how fast. Everything is on 127.0.0.1 and ends by itself.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console
from rich.table import Table
from tests.stack import ROOT, Stack

_LOCUSTFILE = ROOT / "tests" / "load" / "locustfile.py"
_SYMBOLS = "AAPL,MSFT,GOOG,IBM"
NO_LIMITS = {
    f"IBDESK_SERVER__LIMITS__{name}_PER_MINUTE": "100000000" for name in ("READS", "WRITES", "LOGINS", "ADDRESS")
}


class Answers(msgspec.Struct, frozen=True):
    """What one endpoint did: how often a second, and in how many ms; `failed` are those that went wrong."""

    name: str
    requests: int
    failed: int
    a_second: float
    p50: float
    p99: float


def load(*, users: int, seconds: float, workers: int, folder: Path) -> list[Answers]:
    """Run the scenario and return what each endpoint did, all together last.

    Raises:
        RuntimeError: If Locust did not run.
    """
    # All users come from one address with one key, which no limit is meant for.
    stack = Stack(folder, workers=workers, variables={"IBDESK_GATEWAY__SYMBOLS": _SYMBOLS} | NO_LIMITS)
    try:
        stack.start_engine("--strategy", str(ROOT / "strategies" / "ema_cross.py"), "--on", _SYMBOLS)
        stack.start_web()
        return _run(stack, users=users, seconds=seconds)
    finally:
        stack.close()


def locust_words(stack: Stack, *, users: int, seconds: float) -> list[str]:
    """Return the command that lets so many users load the API of a stack for so long."""
    words = [sys.executable, "-m", "locust", "--locustfile", str(_LOCUSTFILE), "--host", stack.url, "--headless"]
    words += ["--users", str(users), "--spawn-rate", str(max(1, users)), "--run-time", f"{seconds:g}s"]
    return [*words, "--json", "--skip-log", "--stop-timeout", "5", "--exit-code-on-error", "0"]


def _run(stack: Stack, *, users: int, seconds: float) -> list[Answers]:
    words = locust_words(stack, users=users, seconds=seconds)
    environment = stack.environment | {"LOAD_KEY": stack.key}
    ran = subprocess.run(
        words, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=seconds + 60
    )
    if ran.returncode or not ran.stdout:
        raise RuntimeError(f"locust ended with {ran.returncode}:\n{ran.stderr}\n{ran.stdout}")
    entries: list[dict[str, Any]] = json.loads(ran.stdout)
    return [_answers(f"{entry['method']} {entry['name']}", [entry]) for entry in entries] + [
        _answers("all requests", [entry for entry in entries if entry["method"] != "FEED"])
    ]


def _answers(name: str, entries: list[dict[str, Any]]) -> Answers:
    times: dict[float, int] = {}
    for entry in entries:
        for milliseconds, count in entry["response_times"].items():
            times[float(milliseconds)] = times.get(float(milliseconds), 0) + count
    requests = sum(entry["num_requests"] for entry in entries)
    took = max((entry["last_request_timestamp"] - entry["start_time"] for entry in entries), default=0.0)
    return Answers(
        name=name,
        requests=requests,
        failed=sum(entry["num_failures"] for entry in entries),
        a_second=requests / took if took else 0.0,
        p50=_percentile(times, 0.5),
        p99=_percentile(times, 0.99),
    )


def _percentile(times: dict[float, int], fraction: float) -> float:
    wanted, seen = fraction * sum(times.values()), 0
    for milliseconds in sorted(times):
        seen += times[milliseconds]
        if seen >= wanted:
            return milliseconds
    return 0.0


def main() -> int:
    """Print the figures and return the exit code: 1 if anything went wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.load.rest", description="Load the API and print figures.")
    parser.add_argument("--users", type=int, default=50, choices=range(1, 1_001), metavar="1..1000")
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--workers", type=int, default=1, choices=range(1, 9), metavar="1..8")
    asked = parser.parse_args()
    console = Console()
    with console.status(f"{asked.users} users for {asked.seconds:g} s"), tempfile.TemporaryDirectory() as folder:
        lines = load(users=asked.users, seconds=asked.seconds, workers=asked.workers, folder=Path(folder))
    shown = Table("endpoint", "requests", "failed", "a second", "p50", "p99", title=f"the API with {asked.users} users")
    for line in lines:
        speeds = (f"{line.a_second:,.0f}", f"{line.p50:,.0f} ms", f"{line.p99:,.0f} ms")
        shown.add_row(line.name, f"{line.requests:,}", f"{line.failed:,}", *speeds)
    console.print(shown)
    return 1 if any(line.failed for line in lines) else 0


if __name__ == "__main__":
    sys.exit(main())
