"""The load tools, with a load so small that what is shown is that they still measure; `make load` gives figures."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from tests.bench.web import compare
from tests.load.clients import WIDTH, bucket_of, percentile_of
from tests.load.feed import Load, bare, feed
from tests.load.process import MemoryWatch
from tests.load.rest import load

pytestmark = pytest.mark.timeout(600)


def test_a_bare_broadcast_reaches_every_client() -> None:
    seen = bare(Load(clients=10, seconds=1))

    assert (seen.published, seen.delivered, seen.holes) == (500, 1.0, 0)
    assert 0 < seen.p50 <= seen.p99


def test_the_feed_reaches_every_client_also_beside_stuck_ones(tmp_path: Path) -> None:
    seen = feed(Load(clients=10, stuck=2, seconds=1), tmp_path)

    assert (seen.published, seen.delivered, seen.holes) == (500, 1.0, 0)
    assert 0 < seen.p50 <= seen.p99
    assert seen.sends_a_second > 0


def test_the_api_answers_viewers_traders_and_watchers(tmp_path: Path) -> None:
    lines = load(users=5, seconds=12, workers=1, folder=tmp_path)

    assert {line.name: line.failed for line in lines if line.failed} == {}
    assert {"POST /api/v1/orders", "FEED feed: connect and snapshot"} <= {line.name for line in lines}


def test_the_trading_path_is_measured_beside_a_busy_web(tmp_path: Path) -> None:
    quiet, busy = asyncio.run(compare(tmp_path, clients=5, users=1, orders=10, rounds=1))

    assert (len(quiet), len(busy)) == (10, 10)
    assert min(quiet + busy) > 0


def test_a_histogram_gives_back_what_was_put_in() -> None:
    ages = {bucket_of(age): 1 for age in (1.0, 10.0, 100.0)}

    assert percentile_of(ages, 0.5) == pytest.approx(10.0, rel=WIDTH - 1)
    assert percentile_of(ages, 0.99) == pytest.approx(100.0, rel=WIDTH - 1)


def test_growth_is_by_the_minute() -> None:
    watch = MemoryWatch([], every_seconds=1.0)
    watch.samples = [(second, 1_000_000 + 50_000 * second) for second in range(20)]

    assert watch.growth_a_minute == pytest.approx(3_000_000)
