"""The guardian as a real process beside a real gateway: it stops what it is to stop, and nothing else."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import ib_async
import msgspec
import pytest
from tests.guardian.conftest import AAPL, StartGuardian, WitnessedRecord, config_of, held
from tests.stack import eventually, own_environment

from ibdesk.guardian.config import GuardianConfig
from ibdesk.guardian.decisions import Rules, Tripped
from ibdesk.guardian.record import Memory, Record
from ibdesk.guardian.request import StopRequest, stop_account
from ibdesk.guardian.stop import Level
from ibdesk.guardian.watch import Watch
from ibdesk.model import TradingState
from ibdesk.store import AccountHalts
from ibdesk.testing.gateway import RunningGateway


async def buy(person: ib_async.IB, tws: RunningGateway, quantity: float) -> None:
    """Buy at the market and wait until it is done."""
    person.placeOrder(AAPL, ib_async.MarketOrder("BUY", quantity))
    await asyncio.to_thread(tws.wait_for_order, status="Filled", quantity=quantity)


def fall(tws: RunningGateway) -> None:
    """Let the price of AAPL fall from 100 to 90."""
    tws.inner.quote("AAPL", 90.00, 90.02)
    tws.inner.trade("AAPL", 90.00)


async def test_a_person_flattens_the_account(
    tws: RunningGateway, start_guardian: StartGuardian, person: ib_async.IB
) -> None:
    await buy(person, tws, 100)
    person.placeOrder(AAPL, ib_async.LimitOrder("SELL", 100, 120))
    person.placeOrder(AAPL, ib_async.LimitOrder("BUY", 50, 90))
    guardian = await asyncio.to_thread(start_guardian)

    answer = await asyncio.to_thread(guardian.ask, "flatten", reason="fire", by="alice")
    status = await asyncio.to_thread(guardian.until, lambda status: status["finished"], "a flat account")

    assert answer["ok"], answer
    assert held(tws) == {}
    assert {order.status for order in tws.orders} == {"Filled", "Cancelled"}
    assert status["finished"]["orders_sent"] == 1
    assert status["finished"]["seconds"] < 5
    assert len(status["halts"]) == 1


async def test_a_loss_beyond_the_limit_flattens_within_five_seconds(
    tws: RunningGateway, start_guardian: StartGuardian, person: ib_async.IB
) -> None:
    """100 shares bought at 100.02 and quoted at 90.00 have lost 1,002 and the commission; 500 are allowed."""
    await buy(person, tws, 100)
    guardian = await asyncio.to_thread(start_guardian, rules=Rules(max_daily_loss=500.0))

    began = time.monotonic()
    tws.call(lambda: fall(tws))
    await asyncio.to_thread(eventually, lambda: held(tws) == {}, "a flat account", seconds=30)
    seconds = time.monotonic() - began

    status = await asyncio.to_thread(guardian.until, lambda status: status["finished"], "done")
    assert seconds < 5
    assert [order.quantity for order in tws.orders if order.client_id == 90] == [100]
    assert "guardian.max_daily_loss is 500.00" in guardian.events("alert")[0]["text"]
    assert len(status["halts"]) == 1


async def test_an_account_that_is_traded_meanwhile_ends_flat(
    tws: RunningGateway, start_guardian: StartGuardian, person: ib_async.IB
) -> None:
    """A second program goes on trading while the guardian flattens; once it stops, the account is flat."""
    await buy(person, tws, 100)
    guardian = await asyncio.to_thread(start_guardian)
    await asyncio.to_thread(guardian.ask, "flatten")

    for number in range(12):
        person.placeOrder(AAPL, ib_async.MarketOrder("BUY" if number % 3 else "SELL", 10 + number))
        await asyncio.sleep(0.15)
    await asyncio.to_thread(
        guardian.until, lambda status: status["finished"] and not status["stops"] and held(tws) == {}, "a flat account"
    )

    assert not any(order.status in ("Submitted", "PreSubmitted") for order in tws.orders)


async def test_a_guardian_that_is_killed_goes_on_where_it_was(
    tws: RunningGateway, start_guardian: StartGuardian, person: ib_async.IB
) -> None:
    """Killed after the stop is on disk and before anything was sold, and again between the orders of two positions."""
    await buy(person, tws, 100)
    person.placeOrder(ib_async.Stock("MSFT", "SMART", "USD"), ib_async.MarketOrder("SELL", 30))
    await asyncio.to_thread(tws.wait_for_order, status="Filled", symbol="MSFT")
    first = await asyncio.to_thread(start_guardian)
    first.ask("flatten", reason="fire", by="alice")
    first.kill()
    second = await asyncio.to_thread(start_guardian, ready=False)
    await asyncio.to_thread(tws.wait_for_order, client_id=90, timeout_seconds=30)
    second.kill()

    third = await asyncio.to_thread(start_guardian, ready=False)
    status = await asyncio.to_thread(third.until, lambda status: status["finished"], "done")

    assert held(tws) == {}
    sold = [(done.symbol, done.action, done.quantity) for done in tws.executions if done.client_id == 90]
    assert sorted(sold) == [("AAPL", "SELL", 100.0), ("MSFT", "BUY", 30.0)]
    assert len(status["halts"]) == 1
    references = [order.reference for order in tws.orders if order.client_id == 90]
    assert len(references) == len(set(references))


async def test_a_second_flatten_under_the_same_halt_closes_with_references_of_its_own(
    tws: RunningGateway, start_guardian: StartGuardian, person: ib_async.IB
) -> None:
    """Asked for again in the same words, three times: twice of one guardian, and of one whose memory is lost."""
    guardian = await asyncio.to_thread(start_guardian)
    stops = []
    for quantity in (100, 60, 30):
        await buy(person, tws, quantity)
        if quantity == 30:
            guardian.kill()
            guardian.config.memory.unlink()
            guardian = await asyncio.to_thread(start_guardian)
        answer = await asyncio.to_thread(guardian.ask, "flatten", reason="fire", by="alice")
        stops.append(answer["stop"]["id"])
        await asyncio.to_thread(
            guardian.until, lambda status: status["finished"] and not status["stops"] and held(tws) == {}, "flat"
        )

    sold = [order for order in tws.orders if order.client_id == 90]
    assert [order.quantity for order in sold] == [100, 60, 30]
    assert len(set(stops)) == 1
    assert len({order.reference for order in sold}) == 3
    assert all(order.reference.startswith(f"guardian-{stops[0]}-") for order in sold)


async def test_the_state_of_a_halt_says_how_far_its_stop_goes(
    tws: RunningGateway, start_guardian: StartGuardian
) -> None:
    """Under REDUCING strategies may get out by themselves; under HALTED they wait until it is lifted."""
    guardian = await asyncio.to_thread(start_guardian)

    for level in ("halt", "cancel", "flatten"):
        await asyncio.to_thread(guardian.ask, level, reason="fire", by="alice")

    halts = AccountHalts("paper", tws.account).read().halts
    assert [(halt.by, halt.state, halt.is_exclusive) for halt in halts] == [
        ("guardian", TradingState.REDUCING, False),
        ("guardian", TradingState.HALTED, True),
        ("guardian", TradingState.HALTED, True),
    ]


async def test_a_stop_waits_for_a_tws_that_is_away(
    tws: RunningGateway, start_guardian: StartGuardian, person: ib_async.IB
) -> None:
    await buy(person, tws, 100)
    guardian = await asyncio.to_thread(start_guardian)
    tws.faults.refuse()
    tws.faults.hang_up()
    await asyncio.to_thread(guardian.until, lambda status: status["link"] != "up", "a link that is down")
    answer = await asyncio.to_thread(guardian.ask, "flatten")
    before = held(tws)

    tws.faults.refuse(refuses=False)
    await asyncio.to_thread(guardian.until, lambda status: status["finished"], "done")

    assert answer["ok"]
    assert (before, held(tws)) == ({"AAPL": 100.0}, {})


async def test_a_stop_whose_halt_is_lifted_is_abandoned(
    tws: RunningGateway, start_guardian: StartGuardian, person: ib_async.IB
) -> None:
    """Lifted while TWS is away: when it is back nothing is sold, and a later guardian takes nothing up."""
    await buy(person, tws, 100)
    guardian = await asyncio.to_thread(start_guardian)
    tws.faults.refuse()
    tws.faults.hang_up()
    await asyncio.to_thread(guardian.until, lambda status: status["link"] != "up", "a link that is down")
    halt = (await asyncio.to_thread(guardian.ask, "flatten"))["stop"]["id"]
    pending = guardian.status()["stops"]

    AccountHalts("paper", tws.account).lift(halt, "a mistake", by="alice", at_ns=1)
    await asyncio.to_thread(guardian.until, lambda status: status["stops"] == [], "abandoned")
    tws.faults.refuse(refuses=False)
    await asyncio.to_thread(guardian.until, lambda status: status["link"] == "up", "a link that is up")
    guardian.kill()
    again = await asyncio.to_thread(start_guardian)

    assert [stop["id"] for stop in pending] == [halt]
    assert again.status()["stops"] == []
    assert held(tws) == {"AAPL": 100.0}


async def test_a_person_is_told_that_a_stop_was_abandoned(
    tws: RunningGateway, start_guardian: StartGuardian, person: ib_async.IB
) -> None:
    """`ibdesk stop` waits for TWS; another person lifts the halt meanwhile: 100 are held, and nothing was done."""
    await buy(person, tws, 100)
    guardian = await asyncio.to_thread(start_guardian)
    tws.faults.refuse()
    tws.faults.hang_up()
    await asyncio.to_thread(guardian.until, lambda status: status["link"] != "up", "a link that is down")
    stopping = asyncio.create_task(stop_account(guardian.config, StopRequest(level=Level.FLATTEN, seconds=60)))
    status = await asyncio.to_thread(guardian.until, lambda status: status["stops"], "a stop")

    AccountHalts("paper", tws.account).lift(status["halts"][0], "a mistake", by="alice", at_ns=1)
    outcome = await stopping

    assert not outcome.done
    assert "was lifted before the stop was done" in outcome.failure
    assert outcome.seconds < 50


async def test_a_file_of_halts_that_was_moved_away_lifts_nothing(
    tws: RunningGateway, start_guardian: StartGuardian, person: ib_async.IB
) -> None:
    """The halt is written again, the stop goes on, and the loss counts as accepted by nobody."""
    await buy(person, tws, 100)
    guardian = await asyncio.to_thread(start_guardian, rules=Rules(max_daily_loss=500.0))
    tws.call(lambda: fall(tws))
    await asyncio.to_thread(guardian.until, lambda status: status["finished"], "done")
    halts = AccountHalts("paper", tws.account)
    [before] = halts.read().halts

    halts.path.unlink()
    await asyncio.to_thread(eventually, lambda: halts.read().halts, "the halt again")

    [again] = halts.read().halts
    assert (again.id, again.reason) == (before.id, before.reason)
    assert json.loads(guardian.config.memory.read_text())["accepted_loss"] == 0.0


async def test_the_stop_file_stops(
    tws: RunningGateway, start_guardian: StartGuardian, person: ib_async.IB, tmp_path: Path
) -> None:
    """Touched it halts and cancels what opens; with a word in it, it goes so far."""
    await buy(person, tws, 100)
    person.placeOrder(AAPL, ib_async.LimitOrder("BUY", 50, 90))
    person.placeOrder(AAPL, ib_async.StopOrder("SELL", 100, 80))
    guardian = await asyncio.to_thread(start_guardian)

    (tmp_path / "state" / "STOP").touch()
    await asyncio.to_thread(guardian.until, lambda status: status["finished"], "halted")
    after_touch = [(order.action, order.status) for order in tws.orders if order.kind != "MKT"], held(tws)
    (tmp_path / "state" / "STOP").write_text("flatten\n")
    await asyncio.to_thread(guardian.until, lambda status: status["finished"]["level"] == "flatten", "flat")

    assert after_touch == ([("BUY", "Cancelled"), ("SELL", "PreSubmitted")], {"AAPL": 100.0})
    assert held(tws) == {}


async def test_orders_that_come_too_fast_are_cancelled(
    tws: RunningGateway, start_guardian: StartGuardian, person: ib_async.IB
) -> None:
    """Eleven orders within a minute where ten are allowed; those of before the guardian's start do not count."""
    for _ in range(5):
        person.placeOrder(AAPL, ib_async.LimitOrder("BUY", 1, 50))
    guardian = await asyncio.to_thread(start_guardian, rules=Rules(max_orders_per_minute=10))
    for _ in range(10):
        person.placeOrder(AAPL, ib_async.LimitOrder("BUY", 1, 50))
    await asyncio.to_thread(guardian.until, lambda status: status["orders_last_minute"] == 10, "ten orders")
    before = guardian.status()["stops"], guardian.status()["finished"]

    person.placeOrder(AAPL, ib_async.LimitOrder("BUY", 1, 50))
    await asyncio.to_thread(guardian.until, lambda status: status["finished"], "done")

    assert before == ([], {})
    assert {order.status for order in tws.orders} == {"Cancelled"}


async def test_positions_worth_too_much_halt(
    tws: RunningGateway, start_guardian: StartGuardian, person: ib_async.IB
) -> None:
    """Long 100 at 100 and short 50 at 200 are 20,000 in all, whatever their sum is."""
    await buy(person, tws, 100)
    guardian = await asyncio.to_thread(start_guardian, rules=Rules(max_gross_exposure=15_000.0))
    before = guardian.status()
    person.placeOrder(ib_async.Stock("MSFT", "SMART", "USD"), ib_async.MarketOrder("SELL", 50))

    status = await asyncio.to_thread(guardian.until, lambda status: status["finished"], "halted")

    assert before["gross_exposure"] == pytest.approx(10_000, rel=0.001)
    assert status["gross_exposure"] == pytest.approx(20_000, rel=0.001)
    assert held(tws) == {"AAPL": 100.0, "MSFT": -50.0}


@pytest.mark.parametrize("terminal", ["on a full disk", "a pipe that nobody reads"])
async def test_a_terminal_that_takes_nothing_keeps_it_from_nothing(
    tws: RunningGateway, start_guardian: StartGuardian, person: ib_async.IB, terminal: str
) -> None:
    """Each alert fails, or would wait for ever, as on a terminal after Ctrl-S."""
    await buy(person, tws, 100)
    with contextlib.ExitStack() as ends:
        if terminal == "on a full disk":
            writing = os.open("/dev/full", os.O_WRONLY)
        else:
            reading, writing = os.pipe()
            ends.callback(os.close, reading)
            os.set_blocking(writing, False)
            with contextlib.suppress(BlockingIOError):
                while True:
                    os.write(writing, b"x")
            os.set_blocking(writing, True)
        ends.callback(os.close, writing)
        guardian = await asyncio.to_thread(start_guardian, stderr=writing)

        await asyncio.to_thread(guardian.ask, "flatten", reason="fire", by="alice")
        await asyncio.to_thread(guardian.until, lambda status: status["finished"], "a flat account")
        guardian.close()

    assert held(tws) == {}
    assert guardian.process.returncode == 0


def test_systemd_hears_that_it_is_ready_and_lives(
    start_guardian: StartGuardian, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And nothing while it is stopped, so that systemd ends it."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(60)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        guardian = start_guardian(ready=False)

        assert manager.recv(4096) == b"READY=1"
        assert manager.recv(4096) == b"WATCHDOG=1"
        os.kill(guardian.process.pid, signal.SIGSTOP)
        manager.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while True:
                manager.recv(4096)
        manager.settimeout(3)
        with pytest.raises(TimeoutError):
            manager.recv(4096)
        os.kill(guardian.process.pid, signal.SIGCONT)
        manager.settimeout(60)
        assert manager.recv(4096) == b"WATCHDOG=1"


async def test_a_reason_of_any_length_and_any_letters_stops(
    tws: RunningGateway, start_guardian: StartGuardian, person: ib_async.IB
) -> None:
    """Longer than a line of the command socket, with half a surrogate pair."""
    guardian = await asyncio.to_thread(start_guardian)

    outcome = await stop_account(guardian.config, StopRequest(reason="\ud800" + "fire " * 2000, by="\udfff"))

    [halt] = AccountHalts("paper", tws.account).read().halts
    assert (outcome.done, outcome.by_guardian) == (True, True)
    assert halt.reason.startswith("halt asked for by ?: ?fire fire")
    assert len(halt.reason) < 600


def test_it_is_small(tws: RunningGateway, start_guardian: StartGuardian) -> None:
    """40 MB resident, at work: no engine, no Polars, no pydantic, no ib_async."""
    guardian = start_guardian()

    status = Path(f"/proc/{guardian.process.pid}/status").read_text()
    resident = int(status.partition("VmRSS:")[2].split()[0]) / 1024
    mapped = Path(f"/proc/{guardian.process.pid}/maps").read_text()

    assert resident < 40, f"{resident:.1f} MB"
    assert [name for name in ("polars", "pydantic", "numpy", "uvloop") if name in mapped] == []


def test_its_socket_is_for_its_owner_and_takes_only_commands(
    tws: RunningGateway, start_guardian: StartGuardian
) -> None:
    guardian = start_guardian()

    answers = [
        guardian.ask("resume"),
        guardian.ask("status", nonsense=1),
        guardian.ask("halt", account="DU1"),
        guardian.ask("x" * 5000),
    ]

    assert guardian.config.command_socket.stat().st_mode & 0o777 == 0o600
    assert [answer["ok"] for answer in answers] == [False] * 4
    assert "there is no command 'resume'" in answers[0]["error"]
    assert tws.account in answers[2]["error"]
    assert "4096 bytes" in answers[3]["error"]
    assert guardian.status()["halts"] == []


_IN_ANOTHER_NAMESPACE = """
import asyncio, sys
from pathlib import Path
from ibdesk.guardian.config import GuardianConfig
from ibdesk.guardian.request import StopRequest, stop_account
config = GuardianConfig.decode(Path(sys.argv[1]).read_bytes())
outcome = asyncio.run(stop_account(config, StopRequest(seconds=1), lambda text: print(text, flush=True)))
print(outcome.failure)
"""


def test_a_guardian_of_another_container_that_hangs_takes_nobody_along(tmp_path: Path) -> None:
    """The system names its process 0, and a signal to 0 goes to everyone in the caller's group."""
    config = GuardianConfig(
        mode="paper", state_folder=tmp_path, desk_socket=tmp_path / "d.sock", host="127.0.0.1", port=1, client_id=90,
        account="DU1", rules=Rules(),
    )  # fmt: skip
    (tmp_path / "config").write_bytes(config.encode())
    space = ["unshare", "--user", "--map-root-user", "--pid", "--fork"]
    if shutil.which("unshare") is None or subprocess.run([*space, "true"], check=False).returncode:
        pytest.skip("this system gives no process namespaces")
    with socket.socket(socket.AF_UNIX) as hung:
        hung.bind(str(config.command_socket))
        hung.listen()
        done = subprocess.run(
            [*space, sys.executable, "-c", _IN_ANOTHER_NAMESPACE, str(tmp_path / "config")],
            env=own_environment(IBDESK_ACCOUNTS=os.environ["IBDESK_ACCOUNTS"]),
            capture_output=True, text=True, timeout=60, check=False, start_new_session=True,
        )  # fmt: skip

    assert done.returncode == 0, done.stderr
    assert "the guardian hangs and cannot be ended from here" in done.stdout
    assert "TWS cannot be reached" in done.stdout


def test_two_guardians_of_one_account_are_one_too_many(tws: RunningGateway, start_guardian: StartGuardian) -> None:
    start_guardian()

    second = start_guardian(ready=False)

    assert second.process.wait(30) == 2
    assert "another guardian answers" in second.log.read_text()


async def test_a_stop_file_counts_as_seen_once_its_stop_is_on_disk(tmp_path: Path) -> None:
    """A guardian that is killed when it alerts the stop: the next one takes it up, and sees the file again."""
    config = GuardianConfig(
        mode="paper", state_folder=tmp_path, desk_socket=tmp_path / "d.sock", host="127.0.0.1", port=1, client_id=90,
        account="DU1", rules=Rules(),
    )  # fmt: skip
    kept: asyncio.Queue[Memory] = asyncio.Queue()

    def say(text: str) -> None:
        if text.startswith("flatten:"):
            kept.put_nowait(msgspec.json.decode(config.memory.read_bytes(), type=Memory))

    record = Record(config.log, config.memory, say=say)
    config.stop_file.write_text("flatten")
    running = asyncio.create_task(Watch(config, record).run())

    async with asyncio.timeout(20):
        memory = await kept.get()
    running.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await running
    record.close()

    assert [stop.level for stop in memory.stops] == [Level.FLATTEN]
    assert memory.stop_file == ()


async def watch_a_silent_engine(config: GuardianConfig, record: Record, told: asyncio.Event) -> None:
    """Watch an engine that answers no question, until the guardian says what `told` waits for."""
    lock = config.lock_of("DU1")
    lock.parent.mkdir(parents=True, exist_ok=True)
    lock.write_text(str(os.getpid()))
    # This process has the account's lock open, as an engine has.
    with lock.open():
        running = asyncio.create_task(Watch(config, record).run())
        async with asyncio.timeout(20):
            await told.wait()
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running
    record.close()


async def test_a_rule_counts_as_acted_once_its_stop_is_on_disk(tmp_path: Path) -> None:
    """A guardian that is killed at any moment: the next one takes the stop up, or the rule acts again."""
    config, told = config_of(tmp_path, rules=Rules(start_seconds=0.0)), asyncio.Event()
    record = WitnessedRecord(config.log, config.memory, say=lambda text: told.set() if "halt:" in text else None)

    await watch_a_silent_engine(config, record, told)

    acted = [state for state in record.states if "silence" in state.tripped]
    assert acted
    assert all([stop.id for stop in state.stops] == [state.tripped["silence"].halt_id] for state in acted)


async def test_a_loss_is_accepted_on_disk_together_with_its_rule_that_may_act_again(tmp_path: Path) -> None:
    """Its halt was lifted, and in the same look another rule acts: a restart must not act on the accepted loss."""
    halts = AccountHalts("paper", "DU1")
    halt = halts.halt("a loss of 600", by="guardian", at_ns=1)
    halts.lift(halt.id, "seen", by="alice", at_ns=2)
    config, told = config_of(tmp_path, rules=Rules(start_seconds=0.0)), asyncio.Event()
    record = WitnessedRecord(config.log, config.memory, say=lambda text: told.set() if "halt:" in text else None)
    record.keep(tripped={"daily_loss": Tripped(halt.id, 600.0)})

    await watch_a_silent_engine(config, record, told)

    facts = [("daily_loss" in state.tripped, state.accepted_loss) for state in record.states]
    assert set(facts) == {(True, 0.0), (False, 600.0)}
