"""The feed under load: many clients, some of them stuck, on one web worker or more, against a bare broadcast.

    python -m tests.load.feed --clients 1000 --stuck 10 --workers 2
    python -m tests.load.feed --minutes 30                            does memory stay flat?

A desk on the embedded gateway publishes 20 batches of 25 order changes a second; web workers attached to it send them
to clients in another process. The bare broadcast sends the same bytes at the same beat to as many clients. Ages are
from the publishing to a client having the bytes, of what is published once both have warmed up. Everything is on
127.0.0.1 and ends by itself.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import contextlib
import json
import math
import sys
import tempfile
from pathlib import Path

import httpx
import msgspec
from rich.console import Console
from rich.table import Table
from tests.bench.row import Row, against
from tests.bench.run import figure
from tests.load import source
from tests.load.clients import percentile_of
from tests.load.process import LoadProcess, MemoryWatch, processor_seconds
from tests.load.rest import NO_LIMITS
from tests.plain_http import PLAIN
from tests.ports import free_port

# So long both sides are loaded before it counts: what fresh processes touch for the first time is slow.
_WARM_UP_SECONDS = 3.0
_ANY_KEY = "k" * 43


class Load(msgspec.Struct, frozen=True, kw_only=True):
    """How much of it."""

    clients: int = 1_000
    stuck: int = 0
    workers: int = 1
    seconds: float = 10.0


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What the clients that are not stuck have seen: `delivered` is the part of all rows that came, ages are in ms.

    `cut` is how many clients one worker has given up, `sends_a_second` how many batches a second one processor could
    have delivered, by what the busiest worker used, `growth_a_minute` by how many bytes the workers grew.
    """

    published: int
    delivered: float
    holes: int
    p50: float
    p99: float
    cut: int = 0
    sends_a_second: float = math.nan
    growth_a_minute: float = math.nan


class _Seen(msgspec.Struct, frozen=True):
    """How many rows were published and how many came, with how many holes and how old by a histogram's buckets."""

    published: int
    received: int
    holes: int
    ages: dict[int, int]


def bare(load: Load) -> Outcome:
    """Return how a bare broadcast does under this load, its stuck clients left out: one of them would stop it."""
    with LoadProcess("tests.load.bare") as server:
        port = int(server.hear().split()[1])
        return _measure(server, port, _ANY_KEY, msgspec.structs.replace(load, stuck=0), server.family())


def bare_by_several(load: Load) -> float:
    """Return how many batches a second one processor could have delivered where so many bare broadcasts share the load.

    What they gain over one is what this machine lets several processes gain.
    """
    share = msgspec.structs.replace(load, clients=load.clients // load.workers, workers=1)
    with concurrent.futures.ThreadPoolExecutor(load.workers) as pool:
        seen = list(pool.map(bare, [share] * load.workers))
    return load.workers * min(each.sends_a_second for each in seen)


def feed(load: Load, folder: Path) -> Outcome:
    """Return how the feed does under this load, with everything it keeps in `folder`."""
    port = free_port()
    state = folder / "ibdesk"
    own = {"XDG_STATE_HOME": str(folder)} | NO_LIMITS
    with contextlib.ExitStack() as stack:
        desk = stack.enter_context(LoadProcess("tests.load.desk", environment=own))
        desk.hear()
        web = stack.enter_context(
            LoadProcess(
                "ibdesk.cli", "web", "--port", port, "--workers", load.workers, environment=own, log=folder / "web.log"
            )
        )
        _wait_until_all_answer(web, folder / "web.log")
        key = (state / "api.key").read_text(encoding="utf-8").strip()
        seen = _measure(desk, port, key, load, web.family())
        return msgspec.structs.replace(seen, cut=_cut(port, key))


def _measure(publisher: LoadProcess, port: int, key: str, load: Load, workers: list[int]) -> Outcome:
    """Connect the clients, let the publisher publish, and count."""
    with LoadProcess("tests.load.clients", port, load.clients, load.stuck, source.TOPIC) as clients:
        clients.say(key)
        clients.hear()
        warm = _load(publisher, clients, _WARM_UP_SECONDS)
        before = {pid: processor_seconds(pid) for pid in workers}
        with MemoryWatch(workers, every_seconds=min(1.0, load.seconds / 20)) as memory:
            seen = _load(publisher, clients, load.seconds)
        busiest = max(processor_seconds(pid) - began for pid, began in before.items())
    return Outcome(
        published=seen.published,
        delivered=(warm.received + seen.received) / ((warm.published + seen.published) * load.clients),
        holes=warm.holes + seen.holes,
        p50=percentile_of(seen.ages, 0.5),
        p99=percentile_of(seen.ages, 0.99),
        sends_a_second=seen.received / source.ROWS / busiest if busiest else math.nan,
        growth_a_minute=memory.growth_a_minute,
    )


def _load(publisher: LoadProcess, clients: LoadProcess, seconds: float) -> _Seen:
    publisher.say(f"publish {seconds}")
    published = int(publisher.hear().split()[1])
    clients.say(f"expect {published}")
    return msgspec.convert(json.loads(clients.hear()) | {"published": published}, _Seen, strict=False)


def _cut(port: int, key: str) -> int:
    """Return how many clients a worker has cut because they were too slow."""
    headers = {"X-API-Key": key, "Accept": "application/json"}
    answer = httpx.get(f"http://127.0.0.1:{port}/health/metrics", headers=headers, **PLAIN)
    samples = [sample for samples in answer.json().values() for sample in samples]
    return sum(int(sample["value"]) for sample in samples if sample["name"] == "ibdesk_feed_cut_total")


def _wait_until_all_answer(web: LoadProcess, log: Path) -> None:
    """Wait until the server says where it is, once all workers answer: the first one would get all clients."""
    try:
        while "API" not in web.hear():
            continue
    except RuntimeError:
        raise RuntimeError(f"the web server does not answer:\n{log.read_text(encoding='utf-8')}") from None


def rows(load: Load, *, console: Console) -> list[Row]:
    """Measure the bare broadcast and the feed in turn, and return the lines of the table."""
    found: list[Row] = []
    with console.status(f"a bare broadcast to {load.clients} clients"):
        measure = bare(load)
    sides = [(f"{load.clients:,} clients, 1 worker", msgspec.structs.replace(load, stuck=0, workers=1))]
    if load.stuck:
        sides.append((f"{load.clients:,} clients and {load.stuck} stuck", msgspec.structs.replace(load, workers=1)))
    if load.workers > 1:
        sides.append((f"{load.clients:,} clients, {load.workers} workers", msgspec.structs.replace(load, stuck=0)))
    one_worker = math.nan
    for name, side in sides:
        with console.status(f"the feed: {name}"), tempfile.TemporaryDirectory(prefix="load-") as folder:
            seen = feed(side, Path(folder))
        found += [
            Row(
                f"{name}: delivered, holes {seen.holes}, cut {seen.cut}", 100 * seen.delivered, "%", budget=">= 99.9 %"
            ),
            against(f"{name}: change to bytes, p50", seen.p50, "ms", measure.p50),
            against(f"{name}: change to bytes, p99", seen.p99, "ms", measure.p99, "<= 1.25 x bare broadcast"),
        ]
        if side.workers == 1 and not side.stuck:
            one_worker = seen.sends_a_second
            found.append(against(f"{name}: sends a second of a processor", one_worker, "", measure.sends_a_second))
        elif side.workers > 1:
            with console.status(f"{load.workers} bare broadcasts side by side"):
                gain = bare_by_several(load) / measure.sends_a_second
            budget = f"nearly double; {gain:.2f} x with bare broadcasts"
            found.append(against(f"{name}: sends a second of its busiest", seen.sends_a_second, "", one_worker, budget))
    return found


def soak(load: Load, *, console: Console) -> list[Row]:
    """Load the feed for long, and return by how much it grew."""
    with console.status(f"the feed for {load.seconds / 60:g} minutes"), tempfile.TemporaryDirectory() as folder:
        seen = feed(load, Path(folder))
    return [
        Row("memory of the web workers, by the minute", seen.growth_a_minute / 1e6, "MB", budget="flat"),
        Row(f"delivered, holes {seen.holes}", 100 * seen.delivered, "%", budget=">= 99.9 %"),
        Row("change to bytes, p99", seen.p99, "ms"),
    ]


def main() -> int:
    """Print the figures and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.load.feed", description="Load the feed and print figures.")
    parser.add_argument("--clients", type=int, default=1_000, choices=range(1, 2_001), metavar="1..2000")
    parser.add_argument("--stuck", type=int, default=10, choices=range(101), metavar="0..100")
    parser.add_argument("--workers", type=int, default=2, choices=range(1, 9), metavar="1..8")
    parser.add_argument("--seconds", type=float, default=10.0, help="how long each side is loaded")
    parser.add_argument("--minutes", type=float, help="load the feed for so long and watch its memory instead")
    asked = parser.parse_args()
    console = Console()
    load = Load(clients=asked.clients, stuck=asked.stuck, workers=asked.workers, seconds=asked.seconds)
    if asked.minutes is not None:
        lasting = msgspec.structs.replace(load, seconds=60 * asked.minutes, workers=1, stuck=0)
        table(soak(lasting, console=console), console)
    else:
        table(rows(load, console=console), console)
    return 0


def table(lines: list[Row], console: Console) -> None:
    """Print lines as one table."""
    shown = Table("what", "figure", "baseline", "ratio", "budget", title="ibdesk under load")
    for row in lines:
        ratio = "" if row.ratio is None else f"{row.ratio:.2f} x"
        shown.add_row(row.name, figure(row.value, row.unit), figure(row.baseline, row.unit), ratio, row.budget)
    console.print(shown)


if __name__ == "__main__":
    sys.exit(main())
