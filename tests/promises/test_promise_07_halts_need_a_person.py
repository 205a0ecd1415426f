"""Promise 7: every halt is persisted and needs a person to lift it.

It belongs to the account: it holds for each desk on the machine, whatever its client id and state folder are, also
for one that runs while another process halts.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from tests.stack import eventually

from ibdesk.desk import Desk, DeskSettings
from ibdesk.errors import DeskError, OrderDeniedError
from ibdesk.gateway import GatewaySettings, GatewayThread, make_gateway
from ibdesk.model import Fill, Quote, Side
from ibdesk.store import AccountHalts, AccountHaltsError, replay
from ibdesk.strategy import Strategy

OpenDesk = Callable[..., Desk]

_HALT = """
import sys, time
from ibdesk.store import AccountHalts

print(AccountHalts("paper", sys.argv[1]).halt("the loss is too large", by="guardian", at_ns=time.time_ns()).id)
"""

_HALT_AND_WAIT = """
import sys
from pathlib import Path
from ibdesk.desk import Desk, DeskSettings

desk = Desk.open(DeskSettings.make("paper", port=int(sys.argv[1]), state_folder=Path(sys.argv[2])))
print(desk.halt("the books look wrong").id, flush=True)
sys.stdin.read()
"""


@pytest.fixture
def gateway() -> Iterator[GatewayThread]:
    """A gateway that outlives the desks of a test."""
    with GatewayThread(make_gateway(GatewaySettings(port=0))) as thread:
        yield thread


@pytest.fixture
def open_desk(gateway: GatewayThread, tmp_path: Path) -> Iterator[OpenDesk]:
    """Opens a desk on the gateway: `open_desk(folder="b", client_id=7)`."""
    with contextlib.ExitStack() as stack:

        def make(folder: str = "a", **settings: Any) -> Desk:
            settings = {"port": gateway.port, "state_folder": tmp_path / folder} | settings
            return stack.enter_context(contextlib.closing(Desk.open(DeskSettings.make("paper", **settings))))

        yield make


def until(holds: Callable[[], bool], seconds: float = 15) -> None:
    """Ask again and again until it holds; each question goes to another thread."""
    eventually(holds, "it holds", seconds=seconds)


def halt_elsewhere(account: str) -> str:
    """Halt the account in another process, and return the halt's id."""
    found = subprocess.run([sys.executable, "-c", _HALT, account], check=True, capture_output=True, text=True)
    return found.stdout.strip()


def test_a_halt_holds_under_another_client_id_and_in_another_state_folder(open_desk: OpenDesk) -> None:
    first = open_desk(client_id=5)
    halt = first.halt("the books look wrong")
    first.close()

    other = open_desk("b", client_id=7)
    assert [each.id for each in other.risk().halts] == [halt.id]
    with pytest.raises(OrderDeniedError, match="trading is halted"):
        other.place("IBM", "buy", 1)
    other.resume("they were right", id=halt.id)
    other.close()

    third = open_desk(client_id=5)
    assert third.risk().halts == []
    with pytest.raises(DeskError, match="trading is not halted"):
        third.resume("once more", id=halt.id)


def test_a_desk_that_runs_is_halted_by_another_process_and_resumed_by_a_person(open_desk: OpenDesk) -> None:
    desk = open_desk()
    assert desk.place("IBM", "buy", 1).status != "denied"

    halt_id = halt_elsewhere(desk.account_id)

    until(lambda: bool(desk.risk().halts))
    [halt] = desk.risk().halts
    assert (halt.id, halt.by, halt.reason) == (halt_id, "guardian", "the loss is too large")
    with pytest.raises(OrderDeniedError, match="trading is halted"):
        desk.place("IBM", "buy", 1)
    desk.resume("it was not", id=halt.id)
    assert desk.place("IBM", "buy", 1).status != "denied"
    assert AccountHalts("paper", desk.account_id).read().halts == []


class HaltsAndBuys(Strategy):
    """Orders in the very event in which somebody else halts: only the last look before the bytes leave sees it."""

    account: str = ""

    def on_quote(self, quote: Quote) -> None:
        if not self.open_orders(quote.instrument) and not self.state:
            self.state["asked"] = 1
            AccountHalts("paper", self.account).halt("the loss is too large", by="guardian", at_ns=quote.at_ns)
            self.buy(quote.instrument, 7)


def test_an_order_that_was_decided_on_before_the_halt_is_not_sent(open_desk: OpenDesk, gateway: GatewayThread) -> None:
    desk = open_desk()

    desk.start(HaltsAndBuys(account=desk.account_id), on="IBM", warm_up=0)

    until(lambda: desk.orders()["status"].to_list() == ["rejected"])
    assert desk.orders()["reason"].to_list() == ["never sent: the account was halted meanwhile"]
    assert [halt.by for halt in desk.risk().halts] == ["guardian"]


class HaltsAndSells(Strategy):
    """Gets out in the very event in which the guardian begins to close: its books are older than that."""

    account: str = ""

    def on_quote(self, quote: Quote) -> None:
        if not self.state:
            self.state["asked"] = 1
            self.buy(quote.instrument, 7)

    def on_fill(self, fill: Fill) -> None:
        if fill.side is Side.BUY:
            AccountHalts("paper", self.account).halt("the loss is too large", by="guardian", at_ns=fill.at_ns)
            self.sell(fill.instrument, 7)


def test_an_exit_that_was_decided_on_before_the_guardian_began_is_not_sent(open_desk: OpenDesk) -> None:
    """Afterwards strategy and person may get out again: the person once the guardian's halt is lifted, or by hand."""
    desk = open_desk()

    desk.start(HaltsAndSells(account=desk.account_id), on="IBM", warm_up=0)

    until(lambda: desk.orders()["status"].to_list() == ["filled", "rejected"])
    assert desk.orders()["reason"].to_list()[1] == "never sent: the account was halted meanwhile"
    [halt] = desk.risk().halts
    # The book `manual` holds nothing, so that this would open a position of its own.
    with pytest.raises(OrderDeniedError, match="trading is halted"):
        desk.place("IBM", "sell", 7)
    desk.resume("I have looked", id=halt.id)
    assert desk.place("IBM", "sell", 1).status != "denied"


def test_a_person_gets_out_by_hand_while_the_guardian_closes(open_desk: OpenDesk) -> None:
    """The books are compared with the account first; the second order would go through zero."""
    desk = open_desk()
    desk.place("IBM", "buy", 5)
    until(lambda: desk.orders()["status"].to_list() == ["filled"])
    halt_elsewhere(desk.account_id)
    until(lambda: bool(desk.risk().halts))

    desk.place("IBM", "sell", 5)

    until(lambda: desk.orders()["status"].to_list() == ["filled", "filled"])
    with pytest.raises(OrderDeniedError, match="trading is halted"):
        desk.place("IBM", "sell", 5)


def test_a_halt_that_another_process_lifts_is_lifted_here(open_desk: OpenDesk) -> None:
    desk = open_desk()
    halt = desk.halt("the books look wrong")

    AccountHalts("paper", desk.account_id).lift(halt.id, "they were right", by="ann", at_ns=1)

    until(lambda: not desk.risk().halts)


def test_a_desk_without_its_accounts_halts_is_halted_until_the_file_is_mended(open_desk: OpenDesk) -> None:
    first = open_desk()
    halts = AccountHalts("paper", first.account_id)
    first.close()
    halts.path.write_bytes(b'{"halts": [')

    desk = open_desk()

    [halt] = desk.risk().halts
    assert str(halts.path) in halt.reason
    assert "so it counts as halted" in halt.reason
    with pytest.raises(OrderDeniedError, match="trading is halted"):
        desk.place("IBM", "buy", 1)
    with pytest.raises(AccountHaltsError):
        desk.resume("never mind", id=halt.id)
    halts.path.unlink()
    desk.resume("the file is gone", id=halt.id)
    assert desk.place("IBM", "buy", 1).status != "denied"


def test_a_file_that_is_torn_while_the_desk_runs_halts_it(open_desk: OpenDesk) -> None:
    desk = open_desk()

    AccountHalts("paper", desk.account_id).path.write_bytes(b"\0")

    until(lambda: bool(desk.risk().halts))
    assert "so it counts as halted" in desk.risk().halts[0].reason


def test_a_halt_outlives_a_desk_on_the_embedded_gateway_too(tmp_path: Path) -> None:
    with Desk.open("embedded", state_folder=tmp_path) as desk:
        halt = desk.halt("enough for today")

    with Desk.open("embedded", state_folder=tmp_path) as desk:
        assert desk.health().halted == "enough for today"
        desk.resume(reason="a new day", id=halt.id)

    with Desk.open("embedded", state_folder=tmp_path) as desk:
        assert desk.health().halted == ""


def test_a_halt_stands_although_its_desk_was_killed_the_moment_it_was_made(
    gateway: GatewayThread, open_desk: OpenDesk, tmp_path: Path
) -> None:
    words = [sys.executable, "-c", _HALT_AND_WAIT, str(gateway.port), str(tmp_path / "a")]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as desk_process:
        assert desk_process.stdout is not None
        halt_id = desk_process.stdout.readline().strip()
        desk_process.kill()

    desk = open_desk()

    assert [(halt.id, halt.reason) for halt in desk.risk().halts] == [(halt_id, "the books look wrong")]
    with pytest.raises(OrderDeniedError, match="trading is halted"):
        desk.place("IBM", "buy", 1)
    desk.resume("they were right", id=halt_id)
    assert desk.place("IBM", "buy", 1).status != "denied"


def test_halts_that_two_desks_make_in_the_same_second_are_two(open_desk: OpenDesk) -> None:
    """Each desk numbers its halts, and neither has heard of the other's: lifting one must not lift the other."""
    desks = [open_desk("a", client_id=5), open_desk("b", client_id=7)]
    with ThreadPoolExecutor() as pool:
        made = list(pool.map(lambda desk: desk.halt(f"of {desk.journal_path}"), desks))
    assert len({halt.id for halt in made}) == 2

    desks[0].resume("this one is over", id=made[0].id)

    until(lambda: [[halt.id for halt in desk.risk().halts] for desk in desks] == [[made[1].id]] * 2)
    for desk in desks:
        desk.close()
        assert replay(Path(desk.journal_path)).events
