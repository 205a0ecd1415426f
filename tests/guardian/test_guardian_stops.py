"""Several stops at once, lifted halts, processes that die: each stop ends in one outcome and closes its part once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.guardian.conftest import WitnessedRecord
from tests.guardian.venue import CON_ID, SECOND

from ibdesk.clock import monotonic_ns
from ibdesk.guardian.account import AccountSnapshot, Execution, WorkingOrder
from ibdesk.guardian.claim import Claim
from ibdesk.guardian.decisions import Tripped
from ibdesk.guardian.engine_process import EngineKill
from ibdesk.guardian.fence import Fence
from ibdesk.guardian.plan import CancelEverything, CancelOrder, CancelOwn, Reduce
from ibdesk.guardian.request import failure_of
from ibdesk.guardian.shares import ShareBasis
from ibdesk.guardian.stop import Level, Stop
from ibdesk.guardian.stops import Stops
from ibdesk.store import AccountHalts

Orders = tuple[WorkingOrder, ...]


class Sent:
    """A TWS that takes everything and says nothing."""

    def __init__(self) -> None:
        self.steps: list[tuple[CancelEverything | CancelOrder | CancelOwn | Reduce, int]] = []
        self.number = 0

    def new_order_id(self) -> int:
        self.number += 1
        return self.number

    def do(self, step: CancelEverything | CancelOrder | CancelOwn | Reduce, *, order_id: int = 0) -> None:
        self.steps.append((step, order_id))

    @property
    def reduced(self) -> list[float]:
        return [step.quantity for step, _ in self.steps if isinstance(step, Reduce)]


class Guardian:
    """The stops of one process; its memory outlives it."""

    def __init__(self, folder: Path, *, shares: ShareBasis | None = None, client_id: int = 90) -> None:
        self.said: list[str] = []
        self.record = WitnessedRecord(folder / "g.log", folder / "g.json", say=self.said.append)
        self.sent = Sent()
        self.claim = Claim("paper")
        self.stops = Stops(
            self.record, claim=self.claim, client_id=client_id, settle_seconds=60.0, measure=lambda _runs: shares
        )
        self.stops.sender = self.sent
        self.began_ns = monotonic_ns()

    def look(self, begin: float, end: float, held: float, *executions: Execution, orders: Orders = ()) -> None:
        """Look ten times a second at an account that holds this, while no other process has the claim."""
        for tenth in range(round(10 * begin), round(10 * end)):
            holdings = {CON_ID: held} if held else {}
            at_ns = self.began_ns + tenth * SECOND // 10
            if self.stops.take("DU1"):
                self.stops.advance(
                    AccountSnapshot(asked_ns=at_ns, holdings=holdings, orders=orders, executions=executions)
                )
                self.stops.rest()

    def die(self) -> None:
        """End as a process that is killed: its files are closed."""
        self.record.close()
        self.claim.release()

    @property
    def cancelled(self) -> list[int]:
        """Return the numbers of its own orders that it has cancelled."""
        return [number for step, number in self.sent.steps if isinstance(step, CancelOwn)]

    @property
    def outcomes(self) -> dict[str, str]:
        return {key: outcome.state for key, outcome in self.record.memory.outcomes.items()}


@pytest.fixture
def guardian(tmp_path: Path) -> Iterator[Guardian]:
    """A guardian that has just been started."""
    made = Guardian(tmp_path)
    yield made
    made.die()


def stop(level: Level, number: int, *runs: str) -> Stop:
    return Stop(id=f"h-{number}", level=level, cause="person", reason="fire", by="", at_ns=number, runs=runs)


def test_a_stop_of_the_account_takes_the_place_of_that_of_a_run(guardian: Guardian) -> None:
    guardian.stops.begin(stop(Level.FLATTEN, 1, "Cross-abc"))

    guardian.stops.begin(stop(Level.FLATTEN, 2))

    assert [plan.stop.id for plan in guardian.stops.plans] == ["h-2"]
    guardian.look(0, 3, 0.0)
    assert guardian.outcomes == {"h-1": "done", "h-2": "done"}
    assert guardian.record.memory.outcomes["h-1"].covered_by == "h-2"


def test_a_stop_that_another_covers_is_carried_out_once_that_one_is_lifted(guardian: Guardian) -> None:
    """Asked for under two halts; the first is lifted, the second stands."""
    guardian.stops.begin(stop(Level.FLATTEN, 1))
    guardian.stops.begin(stop(Level.FLATTEN, 2))
    first = [plan.stop.id for plan in guardian.stops.plans]

    guardian.stops.abandon(frozenset({"h-1"}))

    assert (first, [plan.stop.id for plan in guardian.stops.plans]) == (["h-1"], ["h-2"])
    guardian.look(0, 3, 100.0)
    assert guardian.sent.reduced == [-100.0]
    assert guardian.outcomes == {"h-1": "abandoned"}


def test_a_stop_that_another_covers_outlives_its_process(guardian: Guardian, tmp_path: Path) -> None:
    guardian.stops.begin(stop(Level.FLATTEN, 1))
    guardian.stops.begin(stop(Level.HALT, 2))

    second = Guardian(tmp_path)
    second.stops.take_up()
    second.stops.abandon(frozenset({"h-1"}))

    assert [plan.stop.id for plan in second.stops.plans] == ["h-2"]
    second.die()


def test_the_same_stop_asked_for_again_goes_on_as_it_is(guardian: Guardian) -> None:
    guardian.stops.begin(stop(Level.FLATTEN, 1))
    [plan] = guardian.stops.plans

    guardian.stops.begin(stop(Level.FLATTEN, 1))

    assert guardian.stops.plans == [plan]
    assert len(guardian.record.memory.stops) == 1


def test_a_halt_that_nobody_has_lifted_abandons_nothing(guardian: Guardian) -> None:
    guardian.stops.begin(stop(Level.FLATTEN, 1))

    guardian.stops.abandon(frozenset({"h-7"}))

    assert [plan.stop.id for plan in guardian.stops.plans] == ["h-1"]


def test_a_run_that_was_closed_before_its_guardian_died_is_not_closed_again(tmp_path: Path) -> None:
    """The run holds 30 of 100. They are sold, the guardian dies, and the next one has no books of the engine."""
    first = Guardian(tmp_path, shares=ShareBasis(held={CON_ID: 30.0}, counted={}))
    first.stops.compare(AccountSnapshot(asked_ns=first.began_ns, holdings={CON_ID: 100.0}))
    first.stops.begin(stop(Level.FLATTEN, 1, "Cross-abc"))
    first.look(0, 1, 100.0)
    [(sold, number)] = first.sent.steps
    assert isinstance(sold, Reduce)
    first.die()
    filled = Execution("e1.01", CON_ID, -30.0, sold.reference)

    second = Guardian(tmp_path)
    second.stops.take_up()
    second.look(0, 5, 70.0, filled)

    assert (sold.quantity, number) == (-30.0, 1)
    assert second.sent.steps == []
    assert second.outcomes == {"h-1": "done"}
    second.die()


def test_a_run_whose_part_was_not_closed_when_the_guardian_died_is_closed_by_the_next_one(tmp_path: Path) -> None:
    """Nothing had left: the part that it had written down is sold, once."""
    first = Guardian(tmp_path, shares=ShareBasis(held={CON_ID: 30.0}, counted={}))
    first.stops.begin(stop(Level.FLATTEN, 1, "Cross-abc"))
    first.die()

    second = Guardian(tmp_path)
    second.stops.take_up()
    second.look(0, 10, 100.0)

    assert second.sent.reduced == [-30.0]
    second.die()


def test_an_order_that_was_on_its_way_when_the_guardian_died_is_waited_for(tmp_path: Path) -> None:
    """The next one cancels it by its number after 5 s, and sells only what is left once TWS has answered."""
    first = Guardian(tmp_path)
    first.stops.compare(AccountSnapshot(asked_ns=first.began_ns, holdings={CON_ID: 100.0}))
    first.stops.begin(stop(Level.FLATTEN, 1))
    first.look(0, 1, 100.0)
    first.die()

    second = Guardian(tmp_path)
    second.stops.take_up()
    second.look(0, 30, 100.0)
    before = list(second.sent.reduced)
    cancelled = {number for step, number in second.sent.steps if isinstance(step, CancelOwn)}
    reference = second.stops.reference_of(1)
    assert reference is not None
    second.stops.ended(reference, is_filled=False, was_found=True)
    second.look(30, 32, 100.0)

    assert first.sent.reduced == [-100.0]
    assert (before, cancelled) == ([], {1})
    assert second.sent.reduced == [-100.0]
    second.die()


def test_an_order_of_another_client_id_is_not_cancelled_by_its_number(tmp_path: Path) -> None:
    """TWS would take the number for that of another order; it has a minute to show it."""
    first = Guardian(tmp_path)
    first.stops.compare(AccountSnapshot(asked_ns=first.began_ns, holdings={CON_ID: 100.0}))
    first.stops.begin(stop(Level.FLATTEN, 1))
    first.look(0, 1, 100.0)
    first.die()

    second = Guardian(tmp_path, client_id=91)
    second.stops.take_up()
    second.look(0, 55, 100.0)
    before = list(second.sent.reduced)
    second.look(55, 65, 100.0)

    assert [step for step, _ in second.sent.steps if isinstance(step, CancelOwn)] == []
    assert (before, second.sent.reduced) == ([], [-100.0])
    second.die()


def test_a_run_whose_part_nobody_knows_is_not_done(guardian: Guardian) -> None:
    guardian.stops.begin(stop(Level.FLATTEN, 1, "Cross-abc"))

    guardian.look(0, 10, 100.0)

    assert guardian.outcomes == {}
    assert sum("it is not known what Cross-abc hold" in text for text in guardian.said) == 1


def test_a_stop_is_pending_or_has_an_outcome_at_every_moment(guardian: Guardian) -> None:
    """Whenever the guardian is killed: the next one goes on with it, or knows what came of it."""
    guardian.stops.begin(stop(Level.FLATTEN, 1))
    guardian.stops.abandon(frozenset({"h-1"}))
    guardian.stops.begin(stop(Level.FLATTEN, 1))
    guardian.look(0, 3, 0.0)
    guardian.stops.begin(stop(Level.FLATTEN, 1))
    guardian.stops.forget()

    known = [{each.id for each in state.stops} | state.outcomes.keys() for state in guardian.record.states]
    assert guardian.outcomes == {"h-1": "ended"}
    assert known == [{"h-1"}] * len(known)


# ---- orders of other processes, and of abandoned stops ------------------------------------------------------------


def working(sold: Reduce, number: int, *, client_id: int = 90, status: str = "PreSubmitted") -> WorkingOrder:
    return WorkingOrder(
        permanent_id=7, client_id=client_id, order_id=number, con_id=CON_ID, side=-1, remaining=abs(sold.quantity),
        reference=sold.reference, status=status,
    )  # fmt: skip


def sell_100(guardian: Guardian) -> Reduce:
    """Begin to flatten 100, and return the order that has left."""
    guardian.stops.compare(AccountSnapshot(asked_ns=guardian.began_ns, holdings={CON_ID: 100.0}))
    guardian.stops.begin(stop(Level.FLATTEN, 1))
    guardian.look(0, 1, 100.0)
    [sold] = [step for step, _ in guardian.sent.steps if isinstance(step, Reduce)]
    return sold


def test_a_process_that_waits_for_the_claim_learns_what_the_one_before_has_on_its_way(tmp_path: Path) -> None:
    """Both were there from the beginning. The first ends with its order on its way, of which TWS shows nothing yet."""
    first, second = Guardian(tmp_path / "one"), Guardian(tmp_path / "two", client_id=91)
    sold = sell_100(first)
    second.stops.begin(stop(Level.FLATTEN, 2))
    second.look(0, 5, 100.0)
    first.die()

    second.look(5, 30, 100.0)
    early = list(second.sent.reduced)
    second.look(30, 35, 0.0, Execution("e1.01", CON_ID, -100.0, sold.reference))

    assert (early, second.sent.reduced) == ([], [])
    assert second.outcomes == {"h-2": "done"}
    second.die()


def test_what_has_ended_is_not_waited_for_by_the_next_process(tmp_path: Path) -> None:
    first, second = Guardian(tmp_path / "one"), Guardian(tmp_path / "two", client_id=91)
    sold = sell_100(first)
    first.stops.ended(sold.reference, is_filled=False, was_found=True)
    first.look(1, 2, 100.0)
    first.stops.abandon(frozenset({"h-1"}))
    first.stops.ended(first.stops.reference_of(2) or "", is_filled=False, was_found=True)
    first.look(2, 4, 100.0)
    first.die()

    second.stops.begin(stop(Level.FLATTEN, 2))
    second.look(4, 8, 100.0)

    assert second.sent.reduced == [-100.0]
    second.die()


def test_an_order_of_an_abandoned_stop_is_cancelled_until_it_has_ended(guardian: Guardian) -> None:
    """Each second, and at once, with no other stop standing; and again once TWS, which was away, shows it."""
    sold = sell_100(guardian)
    guardian.stops.abandon(frozenset({"h-1"}))

    guardian.look(1, 5, 100.0, orders=(working(sold, 1),))
    until_then, busy = list(guardian.cancelled), guardian.stops.is_busy
    guardian.stops.ended(sold.reference, is_filled=False, was_found=True)
    guardian.look(5, 9, 100.0)

    assert (set(until_then), busy) == ({1}, True)
    assert len(until_then) in (4, 5)
    assert guardian.cancelled == until_then
    assert not guardian.stops.is_busy


def test_an_order_of_an_abandoned_stop_is_cancelled_by_the_next_process(tmp_path: Path) -> None:
    """That of another client id is cancelled as orders of others are, once TWS shows it."""
    first = Guardian(tmp_path / "one", client_id=77)
    sold = sell_100(first)
    first.stops.abandon(frozenset({"h-1"}))
    first.die()

    second = Guardian(tmp_path / "two")
    second.look(1, 2, 100.0, orders=(working(sold, 1, client_id=77),))

    assert [step for step, _ in second.sent.steps] == [CancelOrder(working(sold, 1, client_id=77))]
    second.die()


def test_an_order_of_an_abandoned_stop_that_does_not_go_is_alerted_once(guardian: Guardian) -> None:
    sold = sell_100(guardian)
    guardian.stops.abandon(frozenset({"h-1"}))

    guardian.look(1, 40, 100.0, orders=(working(sold, 1),))

    assert sum("cancel it by hand in TWS" in text for text in guardian.said) == 1


def test_an_order_that_tws_shows_nowhere_is_alerted_once_whichever_stop_waits_for_it(tmp_path: Path) -> None:
    """A run's part is on its way when a person flattens the account: both wait for one order, which is cancelled on."""
    guardian = Guardian(tmp_path, shares=ShareBasis(held={CON_ID: 30.0}, counted={}))
    guardian.stops.compare(AccountSnapshot(asked_ns=guardian.began_ns, holdings={CON_ID: 100.0}))
    guardian.stops.begin(stop(Level.FLATTEN, 1, "Cross-abc"))
    guardian.look(0, 8, 100.0)
    early = list(guardian.cancelled)
    guardian.stops.begin(stop(Level.FLATTEN, 2))

    guardian.look(8, 20, 100.0)

    assert guardian.sent.reduced == [-30.0]
    assert (early, guardian.cancelled) == ([1], [1, 1, 1])
    assert sum("no trace" in text for text in guardian.said) == 1
    guardian.die()


def test_an_order_that_was_alerted_is_alerted_again_once_its_stop_is_abandoned(guardian: Guardian) -> None:
    """TWS has shown no trace of it; that it may still be filled though nobody wants it any more is another matter."""
    sell_100(guardian)
    guardian.look(1, 8, 100.0)
    guardian.stops.abandon(frozenset({"h-1"}))

    guardian.look(8, 40, 100.0)

    assert sum("no trace" in text for text in guardian.said) == 1
    assert sum("cancel it by hand in TWS" in text for text in guardian.said) == 1


# ---- halts --------------------------------------------------------------------------------------------------------


def test_a_rule_that_has_acted_keeps_its_halt_though_the_file_is_gone(guardian: Guardian) -> None:
    """Else it would never act again, with nothing to lift: a stop that is not done, and a loss that was acted on."""
    guardian.record.keep(tripped={"daily_loss": Tripped("20261130-120000-guardian-7", 600.0)})
    guardian.stops.begin(stop(Level.FLATTEN, 1))
    fence = Fence("paper", guardian.record)

    fence.look("DU1")

    halts = AccountHalts("paper", "DU1")
    both = frozenset({"20261130-120000-guardian-7", "h-1"})
    assert {halt.id for halt in halts.read().halts} == both
    assert (fence.standing, fence.lifted) == (both, frozenset())
    for halt_id in list(fence.standing):
        halts.lift(halt_id, "seen", by="alice", at_ns=1)
    fence.look("DU1")
    assert (fence.standing, fence.lifted) == (frozenset(), both)


# ---- what the person is told --------------------------------------------------------------------------------------


def test_only_what_was_carried_out_counts_as_done(guardian: Guardian) -> None:
    guardian.stops.begin(stop(Level.CANCEL, 1))
    guardian.stops.begin(stop(Level.HALT, 2))
    working = guardian.stops.status() | {"link": "up", "open_orders": 1, "positions": {}, "kills": {}}
    guardian.stops.abandon(frozenset({"h-1"}))
    guardian.look(0, 2, 0.0)
    after = guardian.stops.status() | {"kills": {"h-2": EngineKill(4711).failure}}

    assert failure_of(working, "h-1", kill=False) == "not done yet: 1 orders work, the account holds nothing"
    assert "was lifted before the stop was done" in failure_of(after, "h-1", kill=False)
    assert failure_of(after, "h-2", kill=False) == ""
    assert "cannot be seen or ended from here" in failure_of(after, "h-2", kill=True)


def test_what_was_finished_last_is_known_to_the_next_process(guardian: Guardian, tmp_path: Path) -> None:
    """The flatten was carried out by itself; the halt was done with it, the cancel behind it was abandoned."""
    guardian.stops.begin(stop(Level.HALT, 1))
    guardian.stops.begin(stop(Level.FLATTEN, 2))
    before = guardian.stops.status()["finished"]
    guardian.look(0, 3, 0.0)
    guardian.stops.begin(stop(Level.CANCEL, 3))
    guardian.stops.abandon(frozenset({"h-3"}))
    guardian.die()

    second = Guardian(tmp_path)

    finished = second.stops.status()["finished"]
    outcomes = second.record.memory.outcomes
    assert before == {}
    assert isinstance(finished, dict)
    assert (finished["id"], finished["level"], finished["orders_sent"]) == ("h-2", "flatten", 0)
    assert {key: outcome.level.value for key, outcome in outcomes.items()} == {
        "h-1": "halt",
        "h-2": "flatten",
        "h-3": "cancel",
    }
    second.die()
