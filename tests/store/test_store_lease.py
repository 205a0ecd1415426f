"""Never two engines at once: the lease under restarts, stalls, pauses and any order of events."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from tests.redis_server import RedisServer

from ibdesk.errors import JournalError, NotLeadingError
from ibdesk.store.lease import Lease, TokenMark
from ibdesk.store.lease_health import LeaseState
from ibdesk.store.redis import RedisError
from ibdesk.store.redis.pool import RedisPool

MakePool = Callable[..., RedisPool]
MakeLease = Callable[..., Lease]
SEEDS = range(int(os.environ.get("IBDESK_PROOF_SEEDS", "6")) // 2)


class HandClock:
    """A contender's clock, moved by hand: what others see as a pause of its process."""

    def __init__(self) -> None:
        self.seconds = 1_000.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
async def make_lease(redis_server: RedisServer, make_pool: MakePool, tmp_path: Path) -> AsyncIterator[MakeLease]:
    """Makes contenders, as processes on machines of their own would be: `make_lease("a", seconds=0.3)`."""
    made: list[Lease] = []

    def make(machine: str, *, seconds: float = 0.5, **options: Any) -> Lease:
        mark = TokenMark(tmp_path / machine / "lease-token")
        made.append(Lease(make_pool(redis_server.url), "account", mark=mark, seconds=seconds, **options))
        return made[-1]

    # A Redis that nobody has led in yet makes the first contender wait, for it may have forgotten who leads.
    known = make("nowhere", seconds=0.1)
    await led(known)
    await known.release()
    yield make
    for lease in made:
        await lease.release()


async def led(lease: Lease) -> Lease:
    async with asyncio.timeout(20):
        await lease.acquire()
    return lease


async def adrift(lease: Lease) -> None:
    """Renew until Redis was found to be away."""
    async with asyncio.timeout(20):
        while lease.state is not LeaseState.ADRIFT:
            await lease.renew()


async def test_the_first_contender_leads_and_the_others_wait(make_lease: MakeLease) -> None:
    first = await led(make_lease("a", seconds=20))

    second = make_lease("b", seconds=20)

    assert first.is_held()
    assert first.may_send()
    assert not await second.try_acquire()
    assert not second.is_held()
    assert not second.may_send()
    assert second.health.held_by == first.health.held_by


async def test_the_holder_knows_who_stands_by_until_they_are_gone_or_lead(make_lease: MakeLease) -> None:
    first, second = await led(make_lease("a", seconds=1)), make_lease("b", seconds=1)
    third = make_lease("c", seconds=1)

    assert not await second.try_acquire()
    assert not await third.try_acquire()
    await first.renew()
    both = first.health.standbys
    # The third asks no more.
    async with asyncio.timeout(20):
        while len(first.health.standbys) == 2:
            assert not await second.try_acquire()
            await first.renew()
    one = first.health.standbys
    await first.release()
    await led(second)
    await second.renew()

    assert len({*both}) == 2
    assert one == (second.health.held_by.partition(" ")[2],)
    assert second.health.standbys == ()


async def test_redis_forgets_who_stood_by_once_whether_or_not_somebody_still_does(
    redis_server: RedisServer, make_lease: MakeLease, make_pool: MakePool
) -> None:
    leader, standby = await led(make_lease("a", seconds=0.5)), make_lease("b", seconds=0.5)
    pool = make_pool(redis_server.url)
    # Engines that are started again and again, each under a name of its own.
    for _ in range(20):
        assert not await make_lease("c", seconds=0.5).try_acquire()

    async with asyncio.timeout(20):
        while await pool.call(lambda client: client.zcard("ibdesk:{lease:account}:standbys")) > 1:
            assert not await standby.try_acquire()
            await leader.renew()

    assert len(leader.health.standbys) == 1
    # And the last one, when nobody asks any more.
    async with asyncio.timeout(20):
        while leader.health.standbys:
            await leader.renew()


async def test_nobody_is_known_to_stand_by_while_redis_is_away(
    redis_server: RedisServer, make_lease: MakeLease
) -> None:
    first, second = await led(make_lease("a", seconds=20)), make_lease("b", seconds=20)
    assert not await second.try_acquire()
    await first.renew()
    known = first.health.standbys

    redis_server.stop()
    await adrift(first)

    assert (len(known), first.health.standbys) == (1, ())


async def test_a_lease_that_is_given_back_is_had_at_once_with_a_higher_token(make_lease: MakeLease) -> None:
    first, second = await led(make_lease("a", seconds=20)), make_lease("b", seconds=20)
    assert not await second.try_acquire()

    await first.release()

    assert await second.try_acquire()
    assert second.token == first.token + 1
    assert not first.is_held()


async def test_a_holder_that_is_gone_is_followed_when_its_time_is_over(make_lease: MakeLease) -> None:
    await led(make_lease("a", seconds=0.5))
    second = make_lease("b", seconds=0.5)
    assert not await second.try_acquire()
    began = time.monotonic()

    await led(second)

    assert second.is_held()
    assert time.monotonic() - began < 2.0


async def test_renewing_keeps_the_lease(make_lease: MakeLease) -> None:
    first, second = await led(make_lease("a", seconds=0.6)), make_lease("b", seconds=0.6)
    keeping = asyncio.create_task(first.keep())
    ends = time.monotonic() + 2.0
    while time.monotonic() < ends:
        assert not await second.try_acquire()
        await asyncio.sleep(0.02)

    assert first.state is LeaseState.HELD
    keeping.cancel()
    await asyncio.wait([keeping])


async def test_a_holder_stops_believing_before_redis_does(make_lease: MakeLease) -> None:
    clock = HandClock()
    first = await led(make_lease("a", seconds=20, now=clock))

    clock.seconds += 17.9
    believed = first.is_held(), first.may_send()
    clock.seconds += 0.2

    assert believed == (True, True)
    assert (first.is_held(), first.may_send()) == (False, False)


async def test_after_a_stall_of_redis_the_engine_that_leads_keeps_the_lease(
    redis_server: RedisServer, make_lease: MakeLease
) -> None:
    first, second = await led(make_lease("a", seconds=1)), make_lease("b", seconds=1)
    assert not await second.try_acquire()
    redis_server.stall()
    # What they ask now is read when Redis goes on, by when the lease has expired.
    for _ in range(4):
        with pytest.raises(RedisError):
            await second.try_acquire()
        await first.renew()
    await asyncio.sleep(1)
    redis_server.resume()

    assert not await second.try_acquire()
    assert not await second.try_acquire()
    await first.renew()

    assert first.is_held()
    assert first.state is LeaseState.HELD


async def test_after_a_stall_a_contender_takes_over_when_nobody_came_back(
    redis_server: RedisServer, make_lease: MakeLease
) -> None:
    first, second = await led(make_lease("a", seconds=0.5)), make_lease("b", seconds=0.5)
    assert not await second.try_acquire()
    redis_server.stall()
    await asyncio.sleep(0.6)
    redis_server.resume()
    began = time.monotonic()

    await led(second)

    assert time.monotonic() - began >= 0.5
    assert second.token == first.token + 1


async def test_time_is_counted_from_the_question_and_not_from_the_answer(
    redis_server: RedisServer, make_lease: MakeLease
) -> None:
    first = await led(make_lease("a", seconds=2))
    redis_server.stall()
    asked_at = time.monotonic()
    renewing = asyncio.create_task(first.renew())
    await asyncio.sleep(0.15)
    redis_server.resume()
    await renewing

    assert first.state is LeaseState.HELD
    assert first._held_until <= time.clock_gettime(time.CLOCK_BOOTTIME) - (time.monotonic() - asked_at) + 0.9 * 2 + 0.01


async def test_a_frozen_engine_sends_nothing_before_redis_has_answered(make_lease: MakeLease) -> None:
    clock = HandClock()
    first = await led(make_lease("a", seconds=0.5, now=clock))
    second = make_lease("b", seconds=0.5)
    clock.seconds += 60

    frozen = first.is_held(), first.may_send()
    await led(second)

    assert frozen == (False, False)
    told = rf"no longer leads account \(its token was {first.token}, the lease is held by"
    with pytest.raises(NotLeadingError, match=told):
        await first.renew()
    assert (first.state, first.may_send()) == (LeaseState.LOST, False)


async def test_a_frozen_engine_that_nobody_followed_leads_on(make_lease: MakeLease) -> None:
    clock = HandClock()
    first = await led(make_lease("a", seconds=0.2, now=clock))
    token = first.token
    await asyncio.sleep(0.3)
    clock.seconds += 60
    assert not first.may_send()

    await first.renew()

    assert first.is_held()
    assert first.token == token


async def test_an_engine_that_was_followed_does_not_lead_on_though_the_follower_has_gone(
    make_lease: MakeLease,
) -> None:
    first = await led(make_lease("a", seconds=0.2))
    second = await led(make_lease("b", seconds=0.2))
    await second.release()

    with pytest.raises(NotLeadingError):
        await first.renew()


@pytest.mark.parametrize("fault", ["stop", "stall"])
async def test_with_redis_away_an_engine_goes_on_and_nobody_takes_over(
    fault: str, redis_server: RedisServer, make_lease: MakeLease
) -> None:
    first, second = await led(make_lease("a", seconds=0.5)), make_lease("b", seconds=0.5)
    assert not await second.try_acquire()
    await asyncio.to_thread(getattr(redis_server, fault))
    keeping = asyncio.create_task(first.keep())

    for _ in range(8):
        with pytest.raises(RedisError):
            await second.try_acquire()
        await asyncio.sleep(0.1)

    assert first.state is LeaseState.ADRIFT
    assert first.may_send()
    assert not first.is_held()
    keeping.cancel()
    await asyncio.wait([keeping])
    redis_server.resume() if fault == "stall" else redis_server.start()


async def test_an_engine_that_must_not_trade_without_redis_stops_when_its_time_is_over(
    redis_server: RedisServer, make_lease: MakeLease
) -> None:
    first = await led(make_lease("a", seconds=0.5, trade_without=False))
    redis_server.stop()
    await adrift(first)

    async with asyncio.timeout(20):
        while True:
            if not first.is_held():
                break
            await asyncio.sleep(0.01)

    assert not first.may_send()


async def test_an_engine_adrift_that_is_frozen_must_ask_again_before_it_sends(
    redis_server: RedisServer, make_lease: MakeLease
) -> None:
    clock = HandClock()
    first = await led(make_lease("a", seconds=0.5, now=clock))
    redis_server.stop()
    clock.seconds += 1
    await adrift(first)
    assert first.may_send()

    clock.seconds += 60
    assert not first.may_send()
    await first.renew()

    assert first.may_send()


async def test_a_question_in_which_the_engine_was_frozen_says_nothing_of_redis(
    redis_server: RedisServer, make_lease: MakeLease
) -> None:
    clock = HandClock()
    first = await led(make_lease("a", seconds=0.5, now=clock))
    redis_server.stall()
    renewing = asyncio.create_task(first.renew())
    await asyncio.sleep(0.01)
    clock.seconds += 60
    await renewing
    redis_server.resume()

    assert first.state is LeaseState.ADRIFT
    assert not first.may_send()


async def test_after_a_restart_of_redis_the_engine_that_leads_comes_back_in(
    redis_server: RedisServer, make_lease: MakeLease
) -> None:
    first, second = await led(make_lease("a", seconds=2)), make_lease("b", seconds=2)
    token = first.token
    redis_server.restart()

    assert not await second.try_acquire()
    await first.renew()

    assert first.is_held()
    assert first.token == token
    assert not await second.try_acquire()
    assert second.health.held_by == first.health.held_by


async def test_who_led_before_the_last_one_does_not_come_back_in_when_redis_forgets_them(
    redis_server: RedisServer, make_lease: MakeLease
) -> None:
    first = await led(make_lease("a", seconds=0.4))
    # Its time goes by without a renewal.
    second = await led(make_lease("b", seconds=0.4))
    assert not first.is_held()
    redis_server.restart()
    # Its connection was to the Redis before.
    await adrift(first)

    await first.renew()

    assert (first.is_held(), second.is_held()) == (False, True)
    for _ in range(2):
        await second.renew()
    assert (second.state, second.is_held()) == (LeaseState.HELD, True)
    with pytest.raises(NotLeadingError):
        await first.renew()


@pytest.mark.parametrize("trade_without", [True, False])
async def test_who_waits_at_a_redis_that_has_forgotten_all_sends_only_where_that_is_allowed(
    trade_without: bool, redis_server: RedisServer, make_lease: MakeLease
) -> None:
    clock = HandClock()
    leader = await led(make_lease("a", seconds=20, now=clock, trade_without=trade_without))
    redis_server.restart()
    # Its connection was to the Redis before.
    await adrift(leader)
    clock.seconds += 60
    assert not leader.may_send()

    await leader.renew()

    assert (leader.state, leader.is_held()) == (LeaseState.ADRIFT, False)
    assert leader.may_send() is trade_without


async def test_who_was_away_as_long_as_a_redis_that_has_forgotten_all_is_back_before_anybody_new(
    redis_server: RedisServer, make_lease: MakeLease
) -> None:
    leader, standby = await led(make_lease("a", seconds=0.4)), make_lease("b", seconds=0.4)
    redis_server.stop()
    while leader.is_held():
        await leader.renew()
    redis_server.start()

    while leader.state is not LeaseState.HELD:
        with contextlib.suppress(RedisError):
            assert not await standby.try_acquire()
        await leader.renew()
        await asyncio.sleep(0.01)

    assert leader.is_held()


async def test_after_a_restart_of_redis_somebody_leads_when_nobody_came_back(
    redis_server: RedisServer, make_lease: MakeLease
) -> None:
    first, second = await led(make_lease("a", seconds=0.3)), make_lease("b", seconds=0.3)
    assert not await second.try_acquire()
    redis_server.restart()
    began = time.monotonic()

    await led(second)

    assert time.monotonic() - began >= 0.5
    assert second.token > first.token
    with pytest.raises(NotLeadingError):
        await first.renew()


async def test_tokens_never_go_backwards_though_redis_forgets_them(
    redis_server: RedisServer, make_lease: MakeLease
) -> None:
    tokens = []
    for _ in range(4):
        lease = await led(make_lease("a", seconds=0.2))
        tokens.append(lease.token)
        await lease.release()
        redis_server.restart()

    assert tokens == [2, 3, 4, 5]


async def test_an_engine_that_comes_back_to_a_redis_with_another_leader_stops_whoever_has_the_higher_token(
    redis_server: RedisServer, make_lease: MakeLease
) -> None:
    await (await led(make_lease("a", seconds=0.2))).release()
    first = await led(make_lease("a", seconds=0.2))
    redis_server.restart()
    stranger = await led(make_lease("b", seconds=1))

    with pytest.raises(NotLeadingError):
        await first.renew()

    assert (first.token, stranger.token) == (3, 1)


def test_a_mark_that_holds_no_number_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mark").write_text("seven")

    with pytest.raises(JournalError, match="write a number above the last token there"):
        TokenMark(tmp_path / "mark")


# --- never two at once


class Contender:
    """Contends for a while: acquires, renews, pauses at random, and dies or gives back."""

    def __init__(self, make: Callable[[], Lease], chance: random.Random) -> None:
        self.lease = make()
        self._make, self._chance = make, chance

    async def live(self) -> None:
        while True:
            try:
                if self.lease.state is LeaseState.WAITING:
                    await self.lease.try_acquire()
                else:
                    await self.lease.renew()
            except RedisError:
                pass
            except NotLeadingError:
                self.lease = self._make()
            await asyncio.sleep(self._chance.choice([0.005, 0.02, 0.05, 0.2]))
            match self._chance.randrange(12):
                case 0:
                    await self.lease.release()
                    self.lease = self._make()
                case 1:
                    # It dies: its lease ends by itself.
                    self.lease = self._make()


@pytest.mark.proof
@pytest.mark.parametrize("seed", SEEDS)
async def test_never_do_two_contenders_hold_the_lease_whatever_happens(
    seed: int, redis_server: RedisServer, make_pool: MakePool, tmp_path: Path
) -> None:
    chance = random.Random(seed)
    pool = make_pool(redis_server.url, timeout_seconds=0.05)
    made: list[Lease] = []

    def maker(machine: str) -> Callable[[], Lease]:
        def make() -> Lease:
            made.append(Lease(pool, "account", mark=TokenMark(tmp_path / machine / "lease-token"), seconds=0.15))
            return made[-1]

        return make

    contenders = [Contender(maker(machine), chance) for machine in "abcd"]
    led_by: set[int] = set()
    async with asyncio.TaskGroup() as tasks:
        living = [tasks.create_task(contender.live()) for contender in contenders]
        ends = time.monotonic() + 3.0
        trouble_at = time.monotonic() + chance.uniform(0.2, 0.6)
        while time.monotonic() < ends:
            # Those that died or gave back count too: what they believe is what they would send by.
            believers = [lease for lease in made if lease.is_held()]
            assert len(believers) <= 1, [lease.health for lease in believers]
            led_by |= {lease.token for lease in believers}
            await asyncio.sleep(0.001)
            if time.monotonic() > trouble_at:
                trouble_at = time.monotonic() + chance.uniform(0.2, 0.6)
                match chance.randrange(4):
                    case 0:
                        await asyncio.to_thread(redis_server.restart)
                    case 1:
                        redis_server.stall()
                        await asyncio.sleep(chance.uniform(0.01, 0.3))
                        redis_server.resume()
                    case 2:
                        # All of them are frozen, and Redis is not.
                        time.sleep(chance.uniform(0.05, 0.4))  # noqa: ASYNC251 - it is the freezing that is tried
                    case _:
                        pass
        for task in living:
            task.cancel()
    assert len(led_by) >= 2
    for lease in made:
        await lease.release()
