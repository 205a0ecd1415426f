"""Promise 11: one command stops everything, always.

`ibdesk stop` halts the account, and with --flatten it is flat afterwards: while the engine hangs in a strategy, while
it is stopped, while the web, Redis or the guardian is away, and while all of them are. Every process is a real one,
and what is held is counted by the executions of the gateway.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import polars as pl
import pytest
from tests.conftest import MakeRedisServer
from tests.stack import IBDESK, Program, Stack, eventually

from ibdesk.desk import AttachedDesk, DeskSettings
from ibdesk.store.account_halts import AccountHalts
from ibdesk.testing.gateway import RunningGateway
from ibdesk.tws import TwsSettings

pytestmark = pytest.mark.timeout(600)

# It buys two shares at each quote, and from the third fill on its code never returns.
HANGS = '''
from ibdesk import Fill, Quote, Strategy


class Hangs(Strategy):
    """Buys, leaves an order behind, and hangs."""

    def on_quote(self, quote: Quote) -> None:
        self.buy(quote.instrument, 2)
        self.sell(quote.instrument, 1, limit=10 * quote.ask)

    def on_fill(self, fill: Fill) -> None:
        self.state["fills"] = self.state.get("fills", 0) + 1
        while self.state["fills"] >= 3:
            pass
'''
# It buys and sells ten times a second, whatever happens.
CHURNS = '''
from ibdesk import Quote, Strategy


class Churns(Strategy):
    """Buys two shares and sells one again, ten times a second."""

    def on_start(self) -> None:
        self.after(0.1)

    def on_quote(self, quote: Quote) -> None:
        self.state.setdefault("symbol", quote.instrument)

    def on_timer(self, name: str) -> None:
        self.after(0.1)
        if "symbol" in self.state:
            self.state["turn"] = self.state.get("turn", 0) + 1
            if self.state["turn"] % 2:
                self.buy(self.state["symbol"], 2)
            else:
                self.sell(self.state["symbol"], 1)
'''


class Account:
    """What the gateway knows of its account, and what a person does about it."""

    def __init__(self, gateway: RunningGateway, stack: Stack) -> None:
        self.gateway, self.stack = gateway, stack

    @property
    def held(self) -> float:
        """What is held, by the executions."""
        return sum(done.quantity if done.action == "BUY" else -done.quantity for done in self.gateway.executions)

    @property
    def working(self) -> int:
        """How many orders still work."""
        return sum(order.status in ("Submitted", "PreSubmitted") for order in self.gateway.orders)

    @property
    def halts(self) -> list[str]:
        """The ids of the halts that stand."""
        halts = AccountHalts("paper", self.gateway.account, folder=self.stack.state / "accounts")
        with contextlib.closing(halts):
            return [halt.id for halt in halts.read().halts]

    def stop(self, *words: str, code: int = 0) -> str:
        """Have a person type `ibdesk stop`; return what it said."""
        done = subprocess.run(
            [*IBDESK, "stop", *words],
            env=self.stack.environment,
            capture_output=True,
            text=True,
            timeout=150,
            check=False,
        )
        said = done.stdout + done.stderr
        assert done.returncode == code, said
        return said

    def start(self, code: str, *words: str) -> Program:
        """Start the engine with a strategy and return once it holds something."""
        path = self.stack.folder / "strategy.py"
        path.write_text(code)
        engine = self.stack.start("engine", "--strategy", str(path), "--on", "AAPL", *words)
        eventually(lambda: self.held > 0 or not engine.is_running, "a position")
        assert engine.is_running, engine.said
        return engine

    def start_guardian(self) -> Program:
        """Start the guardian and return once it is connected."""
        guardian = self.stack.start("guardian")
        log = self.stack.state / "guardian-paper.log"
        eventually(lambda: log.exists() and '"state": "up"' in log.read_text(), "the guardian is connected")
        return guardian


MakeAccount = Callable[..., Account]


@pytest.fixture
def make_account(tmp_path: Path) -> Iterator[MakeAccount]:
    with contextlib.ExitStack() as stack:

        def make(**more: str) -> Account:
            gateway = stack.enter_context(RunningGateway(symbols=["AAPL"], seed=7))
            redis_url = more.pop("redis_url", "")
            # Neither the engine's watchdog nor the guardian's is to act here: everything stays hung until the command.
            patience = {
                "IBDESK_ENGINE__CALL_SECONDS": "0",
                "IBDESK_GUARDIAN__HEARTBEAT_SECONDS": "3600",
                "IBDESK_GUARDIAN__START_SECONDS": "3600",
            }
            made = Stack(tmp_path, tws_port=gateway.port, redis_url=redis_url, variables=patience | more)
            stack.callback(made.close)
            return Account(gateway, made)

        yield make


def denied_by(desk: AttachedDesk) -> int:
    """Return how many orders the risk gate has denied."""
    return desk.orders().filter(pl.col("status") == "denied").height


def hung(account: Account) -> None:
    """Start an engine whose strategy holds it up for ever, and wait until it does."""
    account.start(HANGS).until("has not come round")


def restarted_books(account: Account) -> None:
    """Start the engine again: it compares its books with the account, both are flat, and it stays halted.

    What the run bought is in its own book, and what was sold beside the engine in that of external trades.
    """
    account.stack.start("engine").until("desk port")
    with AttachedDesk.open(f"unix:{account.stack.desk_socket}") as desk:
        assert desk.positions()["quantity"].sum() == 0
        assert set(desk.health().halt_ids) >= set(account.halts)
        assert desk.health().halted


@pytest.mark.parametrize("guardian", ["runs", "is away"])
def test_it_stops_an_account_whose_engine_hangs(make_account: MakeAccount, guardian: str) -> None:
    account = make_account()
    if guardian == "runs":
        account.start_guardian()
    hung(account)
    assert account.held > 0
    assert account.working > 0

    said = account.stop("--flatten", "--reason", "fire")

    assert (account.held, account.working) == (0, 0)
    assert ("by the guardian" in said) == (guardian == "runs")
    seconds = re.search(r"no position is held, after ([\d.]+) s", said)
    assert seconds is not None
    assert float(seconds[1]) < 15
    assert len(account.halts) == 1
    # A person ends the hung engine; the next one finds books and account flat.
    account.stop("--kill")
    restarted_books(account)


def test_it_works_while_redis_and_the_web_are_away_too(
    make_account: MakeAccount, make_redis_server: MakeRedisServer
) -> None:
    redis = make_redis_server()
    account = make_account(redis_url=redis.url)
    hung(account)
    redis.stop()

    account.stop("--flatten")

    assert (account.held, account.working) == (0, 0)
    assert len(account.halts) == 1


def test_a_guardian_that_hangs_is_ended_and_its_work_is_done(make_account: MakeAccount) -> None:
    account = make_account()
    guardian = account.start_guardian()
    hung(account)
    os.kill(guardian.pid, signal.SIGSTOP)

    said = account.stop("--flatten")

    assert f"the guardian (process {guardian.pid}) hangs and was killed" in said
    assert guardian.wait() == -signal.SIGKILL
    assert (account.held, account.working) == (0, 0)


def test_an_engine_that_was_stopped_sends_nothing_when_it_comes_to_until_a_person_lifts_the_halt(
    make_account: MakeAccount,
) -> None:
    account = make_account()
    account.start_guardian()
    engine = account.start(CHURNS)
    os.kill(engine.pid, signal.SIGSTOP)
    account.stop("--flatten")
    assert (account.held, account.working) == (0, 0)
    orders = len(account.gateway.orders)

    os.kill(engine.pid, signal.SIGCONT)
    with AttachedDesk.open(f"unix:{account.stack.desk_socket}", timeout_seconds=60) as desk:
        eventually(lambda: denied_by(desk) >= 10, "ten denials")
        assert len(account.gateway.orders) == orders
        assert account.held == 0
        # The guardian's, and that of the run whose position was sold by somebody else.
        halt_ids = account.halts
        assert sorted(desk.health().halt_ids) == sorted(halt_ids)

        # What the guardian sold is an external trade, which a person accepts too: that is the comparison of the books.
        desk.accept_external("AAPL")
        assert len(account.gateway.orders) == orders
        for halt_id in halt_ids:
            assert len(account.gateway.orders) == orders
            desk.resume("it was a drill", id=halt_id)
        eventually(lambda: len(account.gateway.orders) > orders, "an order")
        assert account.halts == []


def test_killing_ends_the_engine_and_halting_alone_cancels_what_opens(make_account: MakeAccount) -> None:
    """HANGS leaves orders that sell at ten times the price: they reduce what is held, and stay."""
    account = make_account()
    engine = account.start(HANGS)
    engine.until("has not come round")
    held, working = account.held, account.working

    said = account.stop("--kill", "--reason", "enough")

    assert f"the engine (process {engine.pid}) was killed" in said
    assert engine.wait() == -signal.SIGKILL
    assert (account.held, account.working) == (held, working)
    account.stop("--cancel")
    assert (account.held, account.working) == (held, 0)


@pytest.mark.parametrize("guardian", ["runs", "is away"])
def test_a_file_halts(make_account: MakeAccount, guardian: str) -> None:
    account = make_account()
    if guardian == "runs":
        account.start_guardian()
    account.start(CHURNS)

    (account.stack.state / "STOP").touch()

    eventually(lambda: account.halts, "a halt")
    with AttachedDesk.open(f"unix:{account.stack.desk_socket}", timeout_seconds=60) as desk:
        eventually(lambda: desk.health().halted, "the engine is halted")
        held = account.held
        eventually(lambda: denied_by(desk) >= 10, "ten denials")
        assert 0 <= account.held <= held


def test_a_file_that_says_flatten_flattens(make_account: MakeAccount) -> None:
    account = make_account()
    account.start_guardian()
    hung(account)

    (account.stack.state / "STOP").write_text("flatten\n")

    eventually(lambda: (account.held, account.working) == (0, 0), "a flat account")


def test_without_tws_it_says_so_and_the_halt_stands(make_account: MakeAccount) -> None:
    account = make_account()
    engine = account.start(CHURNS)
    engine.kill()
    account.gateway.__exit__(None, None, None)

    began = time.monotonic()
    said = account.stop("--flatten", "--wait", "3", code=1)

    assert "TWS cannot be reached" in said
    assert "start the command again" in said
    assert time.monotonic() - began < 60
    assert len(account.halts) == 1


def test_live_money_takes_the_account_spelled_out(make_account: MakeAccount) -> None:
    account = make_account(IBDESK_TWS__ACCOUNT="U1234567")

    said = account.stop("--mode", "live", code=2)

    assert "mode is live: name the account, --account U1234567" in said


def test_rest_and_a_notebook_stop_an_account_whose_engine_hangs(make_account: MakeAccount) -> None:
    account = make_account()
    account.start_guardian()
    hung(account)
    account.stack.start("web")

    def answered() -> dict[str, object] | None:
        with contextlib.suppress(OSError, httpx.TransportError), account.stack.api() as api:
            answer = api.post("/api/v1/stop", json={"level": "flatten", "reason": "fire"})
            return dict(answer.json()) if answer.status_code == 200 else None
        return None

    found = eventually(answered, "an answer")

    assert (found["done"], found["by_guardian"], found["positions"]) == (True, True, {})
    assert (account.held, account.working) == (0, 0)
    settings = DeskSettings(
        mode="paper", state_folder=account.stack.state, tws=TwsSettings(mode="paper", port=account.gateway.port)
    )
    # The handle is attached, and the desk behind it answers nothing.
    with AttachedDesk.open(settings=settings, timeout_seconds=60) as desk:
        outcome = desk.stop_account("cancel", reason="again")
    assert (outcome.done, outcome.by_guardian, outcome.open_orders) == (True, True, 0)


def test_a_drill_on_paper_buys_one_share_and_is_refused_while_anything_is_held(make_account: MakeAccount) -> None:
    account = make_account()
    account.start_guardian()
    account.stack.start("engine").until("desk port")

    said = account.stop("--drill", "--symbol", "AAPL", "--mode", "paper")

    assert "the books equal the account" in said
    assert [(done.action, done.quantity) for done in account.gateway.executions] == [("BUY", 1.0), ("SELL", 1.0)]
    assert account.halts == []
    with AttachedDesk.open(f"unix:{account.stack.desk_socket}", timeout_seconds=60) as desk:
        desk.accept_external("AAPL")
        desk.place("AAPL", "buy", 3)
        eventually(lambda: account.held == 3, "three shares")
        refused = account.stop("--drill", "--symbol", "AAPL", "--mode", "paper", code=1)
    assert "holds 3 AAPL and has 0 open orders, which a drill would close" in refused
    assert account.held == 3
