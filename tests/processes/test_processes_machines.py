"""Engines on separate machines that share a TWS and a Redis but no folder: books, runs and halts are passed on."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis
from tests.redis_server import RedisServer
from tests.stack import IBDESK, Program, eventually, own_environment

from ibdesk.desk import AttachedDesk, Desk
from ibdesk.errors import OrderDeniedError
from ibdesk.gateway.faults import Gap
from ibdesk.model import Event, HaltTrading
from ibdesk.store import JournalReader
from ibdesk.testing.gateway import RunningGateway

pytestmark = [pytest.mark.proof, pytest.mark.timeout(400)]

CLIENT = 34
# Holds ten shares, leaves an order for seven far below the market, and trades one share to and fro.
KEEPER = '''
from ibdesk import Quote, Strategy


class Keeper(Strategy):
    """Keep ten shares, an order that waits, and busy."""

    def on_quote(self, quote: Quote) -> None:
        if "symbol" not in self.state:
            self.state["symbol"] = quote.instrument
            self.buy(quote.instrument, 7, limit=round(quote.bid * 0.8, 2))
            self.buy(quote.instrument, 10)

    def on_start(self) -> None:
        self.after(0.1)

    def on_timer(self, name: str) -> None:
        self.after(0.1)
        if "symbol" in self.state:
            order = self.sell if self.position(self.state["symbol"]).quantity % 2 else self.buy
            order(self.state["symbol"], 1)
'''


class Machine:
    """A folder of its own, and the engine that runs there."""

    def __init__(self, name: str, folder: Path, environment: dict[str, str], strategy: Path) -> None:
        self.name, self.folder = name, folder / name
        self.folder.mkdir()
        self._environment = environment | {"XDG_STATE_HOME": str(self.folder)}
        self._strategy = strategy
        self._started: list[Program] = []

    @property
    def state(self) -> Path:
        return self.folder / "ibdesk"

    @property
    def engine(self) -> Program:
        return self._started[-1]

    def start(self, *words: str) -> Program:
        words = words or ("--strategy", str(self._strategy), "--on", "AAPL")
        log = self.folder / f"engine-{len(self._started)}"
        self._started.append(Program([*IBDESK, "engine", *words], self._environment, log))
        return self.engine

    def lead(self, *words: str) -> None:
        """Start an engine and wait until it can be reached."""
        self.start(*words).until("desk port")

    def stand_by(self, *words: str) -> None:
        self.start(*words).until("standing by")

    def attach(self) -> AttachedDesk:
        self.engine.until("desk port")
        return Desk.attach(f"unix:{self.state / 'desk-paper.sock'}")

    def journals(self) -> dict[str, bool]:
        """The names of the journals there, packed or not, and whether each is a copy."""
        found, folder = {}, self.state / "journals"
        for path in sorted([*folder.glob("*.sqlite"), *folder.glob("*.sqlite.gz")]):
            with JournalReader(path) as journal:
                found[path.name.removesuffix(".gz")] = journal.copy is not None
        return found

    def copied(self) -> list[Event]:
        """The events that have come of what is traded elsewhere."""
        copies = [name for name, is_copy in self.journals().items() if is_copy]
        if not copies:
            return []
        with JournalReader(self.state / "journals" / copies[-1]) as journal:
            return [entry.event for entry in journal.book_entries()]

    def close(self) -> None:
        for program in self._started:
            program.close()


MakeMachine = Callable[[str], Machine]


@pytest.fixture
def make_machine(tmp_path: Path, redis_server: RedisServer, walking_gateway: RunningGateway) -> Iterator[MakeMachine]:
    """Makes machines on which engines for the gateway can be started."""
    strategy = tmp_path / "keeper.py"
    strategy.write_text(KEEPER)
    environment = own_environment(
        IBDESK_MODE="paper",
        IBDESK_TWS__PORT=str(walking_gateway.port),
        IBDESK_TWS__CLIENT_ID=str(CLIENT),
        IBDESK_REDIS__URL=redis_server.url,
    )
    made: list[Machine] = []

    def make(name: str) -> Machine:
        made.append(Machine(name, tmp_path, environment, strategy))
        return made[-1]

    yield make
    for machine in made:
        machine.close()


class Venue:
    """What the broker knows."""

    def __init__(self, gateway: RunningGateway) -> None:
        self._gateway = gateway

    @property
    def executions(self) -> dict[str, float]:
        executions = self._gateway.call(lambda: list(self._gateway.inner.venue.executions))
        return {each.id: each.fill.signed_quantity for each in executions}

    @property
    def references(self) -> list[str]:
        return [order.reference for order in self._gateway.orders]

    def trades(self, *, orders: int = 10) -> float:
        """Wait for so many more orders, and return how many seconds the first one took."""
        before, began = len(self.references), time.monotonic()
        eventually(lambda: len(self.references) > before, "one more order", seconds=30)
        took = time.monotonic() - began
        eventually(lambda: len(self.references) >= before + orders, f"{orders} more orders", seconds=30)
        return took

    def has_filled(self, quantity: float) -> bool:
        return quantity in self.executions.values()


@pytest.fixture
def venue(walking_gateway: RunningGateway) -> Venue:
    return Venue(walking_gateway)


def check_books(desk: AttachedDesk, run: str, venue: Venue) -> None:
    """The desk's books are the broker's, and all is the run's."""
    desk.stop(run)
    eventually(lambda: not desk.health().open_orders, "its orders are settled")
    eventually(lambda: desk.fills().height == len(venue.executions), "all executions are booked", seconds=20)
    fills, positions = desk.fills(), desk.positions()
    assert dict(zip(fills["execution_id"], fills["quantity"], strict=True)) == {
        name: abs(quantity) for name, quantity in venue.executions.items()
    }
    assert fills["owner"].unique().to_list() == [run]
    held = {owner: quantity for owner, quantity in positions.select("owner", "quantity").rows() if quantity}
    assert held == {run: sum(venue.executions.values())}
    assert len(venue.references) == len(set(venue.references))


def test_a_standby_on_another_machine_takes_over_books_orders_and_runs_and_so_back_again(
    make_machine: MakeMachine, walking_gateway: RunningGateway, venue: Venue
) -> None:
    first, second = make_machine("first"), make_machine("second")
    first.lead()
    run = first.engine.until(r"run +(Keeper-\w+)")[1]
    second.stand_by()
    venue.trades()
    eventually(lambda: len(second.copied()) >= 20, "the journal is copied")

    first.engine.kill()
    # Nobody listens while the order that waited is filled.
    walking_gateway.faults.cause(Gap(percent=-50.0, for_seconds=2))
    eventually(lambda: venue.has_filled(7), "the order that waited is filled", seconds=3)
    took = venue.trades()

    assert took < 5.0
    assert second.engine.until(r"run +(Keeper-\w+)")[1] == run
    assert list(first.journals().values()) == [False]
    assert list(second.journals().values()) == [True, False]
    assert set(first.journals()) < set(second.journals())

    first.stand_by()
    eventually(lambda: list(first.journals().values()) == [False, True], "the second journal is copied")
    venue.trades()
    second.engine.kill()
    took = venue.trades()

    assert took < 5.0
    assert first.engine.until(r"run +(Keeper-\w+)")[1] == run
    assert list(first.journals().values()) == [False, True, False]
    with first.attach() as desk:
        check_books(desk, run, venue)
        infos = desk.journals()
    assert [info.is_copy for info in infos] == [False, True, False]


def test_a_halt_goes_along_to_another_machine(make_machine: MakeMachine, venue: Venue) -> None:
    first, second = make_machine("first"), make_machine("second")
    first.lead()
    second.stand_by()
    venue.trades()
    with first.attach() as desk:
        desk.halt("a person wants to look")
    eventually(lambda: any(isinstance(event, HaltTrading) for event in second.copied()), "the halt is copied")

    first.engine.kill()

    with second.attach() as desk:
        assert "a person wants to look" in desk.health().halted
        with pytest.raises(OrderDeniedError):
            desk.place("AAPL", "buy", 1)
    assert len(venue.references) == len(set(venue.references))


def test_whoever_takes_over_books_that_are_spoiled_is_halted_and_trades_nothing(
    make_machine: MakeMachine, redis_server: RedisServer, venue: Venue
) -> None:
    first, second = make_machine("first"), make_machine("second")
    first.lead()
    second.stand_by()
    venue.trades()
    with redis.Redis.from_url(redis_server.url) as client:
        [stream] = client.keys("ibdesk:{journal:*}:*")
        client.xadd(stream, {"m": b"\xc1"}, id=f"{10**9}-0")
    second.engine.until("copy of the leading engine's journal cannot be used")

    first.engine.kill()

    with second.attach() as desk:
        assert "cannot be read" in desk.health().halted
        with pytest.raises(OrderDeniedError):
            desk.place("AAPL", "buy", 1)


def test_a_desk_that_follows_a_journal_that_cannot_be_copied_is_halted_too(
    make_machine: MakeMachine, redis_server: RedisServer, venue: Venue
) -> None:
    first, second = make_machine("first"), make_machine("second")
    first.lead()
    second.stand_by()
    venue.trades()
    eventually(second.copied, "the journal is copied")

    first.engine.kill()
    with redis.Redis.from_url(redis_server.url) as client:
        [head] = [key for key in client.keys("ibdesk:{journal:*}") if client.type(key) == b"hash"]
        client.hset(head, "life", "../../elsewhere.sqlite")

    with second.attach() as desk:
        assert "is not the name of a journal" in desk.health().halted
