"""Background work that fails comes back, or ends the process when nothing goes without it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from ibdesk.telemetry.supervision import NEVER_RESTART, Policy, Supervisor

QUICK = Policy(first_seconds=0.001, last_seconds=0.002)
SECONDS = 10.0


class Flaky:
    """Work that fails some times and then goes on for ever."""

    def __init__(self, failures: int) -> None:
        self.starts = 0
        self.steady = asyncio.Event()
        self._failures = failures

    async def __call__(self) -> None:
        self.starts += 1
        if self.starts <= self._failures:
            raise ValueError(f"failure {self.starts}")
        self.steady.set()
        await asyncio.get_running_loop().create_future()


@pytest.fixture
async def supervisor() -> AsyncIterator[Supervisor]:
    supervisor = Supervisor()
    running = asyncio.create_task(supervisor.run())
    yield supervisor
    running.cancel()
    await asyncio.wait({running})


async def test_work_that_fails_comes_back_and_its_last_error_is_known(supervisor: Supervisor) -> None:
    flaky = Flaky(3)

    supervisor.add("flaky", flaky, policy=QUICK)
    await asyncio.wait_for(flaky.steady.wait(), SECONDS)

    [info] = supervisor.tasks()
    assert (info.name, info.state, info.restarts, info.last_error) == ("flaky", "running", 3, "ValueError: failure 3")


async def test_failures_of_one_do_not_touch_another(supervisor: Supervisor) -> None:
    steady, flaky = Flaky(0), Flaky(5)

    supervisor.add("steady", steady)
    supervisor.add("flaky", flaky, policy=QUICK)
    await asyncio.wait_for(flaky.steady.wait(), SECONDS)

    assert [(info.name, info.restarts) for info in supervisor.tasks()] == [("steady", 0), ("flaky", 5)]


async def test_essential_work_that_fails_for_good_ends_the_process_with_its_error(
    caplog: pytest.LogCaptureFixture,
) -> None:
    supervisor, steady = Supervisor(), Flaky(0)
    supervisor.add("steady", steady)
    supervisor.add("feed", Flaky(1), essential=True, policy=NEVER_RESTART)

    with pytest.raises(ValueError, match="failure 1"):
        await asyncio.wait_for(supervisor.run(), SECONDS)

    assert [(info.name, info.state) for info in supervisor.tasks()] == [("steady", "cancelled"), ("feed", "failed")]
    # Whoever gets the error tells it.
    assert caplog.records == []


async def test_other_work_that_gives_up_is_shown_as_failed(supervisor: Supervisor) -> None:
    flaky = Flaky(100)

    supervisor.add("flaky", flaky, policy=Policy(first_seconds=0.001, restarts=2))
    async with asyncio.timeout(SECONDS):
        while supervisor.tasks()[0].state != "failed":  # noqa: ASYNC110 - the state is all that is to be seen of it
            await asyncio.sleep(0)

    assert (flaky.starts, supervisor.tasks()[0].last_error) == (3, "ValueError: failure 3")


async def test_work_that_comes_to_its_end_is_done(supervisor: Supervisor) -> None:
    done = asyncio.Event()

    async def work() -> None:
        done.set()

    supervisor.add("once", work)
    await asyncio.wait_for(done.wait(), SECONDS)
    await asyncio.sleep(0)

    assert supervisor.tasks()[0].state == "done"


async def test_cancelling_stops_everything_also_a_pause() -> None:
    supervisor, failed = Supervisor(), asyncio.Event()

    async def work() -> None:
        failed.set()
        raise ValueError("now")

    supervisor.add("pausing", work, policy=Policy(first_seconds=60))
    supervisor.add("steady", Flaky(0))
    running = asyncio.create_task(supervisor.run())
    await asyncio.wait_for(failed.wait(), SECONDS)
    running.cancel()
    await asyncio.wait({running}, timeout=SECONDS)

    assert running.cancelled()
    assert [info.state for info in supervisor.tasks()] == ["cancelled", "cancelled"]


def test_pauses_double_up_to_the_longest_and_differ() -> None:
    policy = Policy(first_seconds=1, last_seconds=8)

    pauses = [[policy.pause(failures) for _ in range(50)] for failures in (1, 2, 3, 4, 5, 60)]

    for full, drawn in zip([1, 2, 4, 8, 8, 8], pauses, strict=True):
        assert all(0.75 * full <= pause <= 1.25 * full for pause in drawn)
        assert len(set(drawn)) > 1


async def test_two_tasks_of_one_name_are_refused(supervisor: Supervisor) -> None:
    supervisor.add("feed", Flaky(0))

    with pytest.raises(ValueError, match="feed"):
        supervisor.add("feed", Flaky(0))
