"""The promises that must hold at every step, checked against the venue's own record."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from ibdesk.clock import SECOND
from ibdesk.engine import RunState
from ibdesk.errors import IbdeskError
from ibdesk.gateway.listening import Peer, payloads
from ibdesk.gateway.protocol.codec import decode
from ibdesk.gateway.protocol.framing import split
from ibdesk.gateway.protocol.incoming import INCOMING
from ibdesk.model import Link, OrderStatus
from ibdesk.simulation.comparison_checks import ComparisonChecks
from ibdesk.simulation.engine_process import CLIENT, EngineProcess
from ibdesk.simulation.excuses import Excuses
from ibdesk.simulation.generation import EngineGeneration
from ibdesk.simulation.guardian_checks import GuardianChecks
from ibdesk.simulation.guardian_process import GUARDIAN_CLIENT
from ibdesk.simulation.opening_checks import OpeningChecks
from ibdesk.simulation.pair_checks import PairChecks
from ibdesk.simulation.plan import Plan
from ibdesk.simulation.strategies import ALL
from ibdesk.simulation.target_checks import TargetChecks
from ibdesk.simulation.truth import Executed, SentOrder, Truth, owner_of
from ibdesk.store import Row, Topic, replay
from ibdesk.strategy import StrategyRegistry

if TYPE_CHECKING:
    from ibdesk.simulation.world import World

_PLACE_ORDER = b"3\0"
# The states of orders that TWS has ended and that can no longer trade.
_ENDED = frozenset({"Inactive", "Cancelled", "Filled"})
_DUST, _CENT = 1e-9, 0.005
_MOST_FACTS = 800
# The longest time until a run cancels an order: TWS may report the execution 8 s late.
_WITHDRAWN_NS = 10 * SECOND


class Violation(msgspec.Struct, frozen=True):
    """A broken promise, with its time and the facts."""

    at: float
    promise: str
    facts: str


class Checker:
    """Checks every step; the first violation ends the simulation. It is also the gateway's listener."""

    def __init__(self, world: World) -> None:
        self.truth = Truth()
        self.violation: Violation | None = None
        self._world = world
        self._plan: Plan = world.plan
        # _given: orders whose bytes a desk gave to a socket; _rejected: those of them that it then reported as
        # rejected.
        self._given: set[str] = set()
        self._rejected: set[str] = set()
        # _halts: the halts in force.
        self._halts: set[str] = set()
        self._generations: dict[EngineProcess, EngineGeneration] = {}
        self.excuses = Excuses()
        self.guardian = GuardianChecks(
            self.truth, self._plan.symbols, self.excuses, report=self.report, say=world.trace.note
        )
        self._pairs = PairChecks(self.truth, self._can_withdraw)
        self._targets = TargetChecks(self.truth, self._plan, self._pairs, self.report)
        self._comparisons = ComparisonChecks(self.truth, self.excuses, self.report)
        self.openings = OpeningChecks(self.truth, self._plan, self.excuses, self._comparisons, self.report)

    def report(self, promise: str, facts: str) -> None:
        """Store the first violation."""
        if self.violation is None:
            if len(facts) > _MOST_FACTS:
                facts = f"{facts[: _MOST_FACTS // 2]} ... {facts[-_MOST_FACTS // 2 :]}"
            self.violation = Violation(round(self._world.seconds, 4), promise, facts)
            self._world.trace.note(f"VIOLATION {promise}", detail=facts)

    # ---- messages to and from the gateway --------------------------------------------------------------------

    def client_sent(self, peer: Peer, payload: bytes) -> None:
        """Check a message of a client."""
        self._comparisons.client_sent(peer, payload, self._world.loop.now_ns)
        self.openings.prices.client_sent(peer, payload)
        if not payload.startswith(_PLACE_ORDER):
            return
        fields = decode(INCOMING[3], split(payload), peer.version)
        reference, order_id = str(fields["orderRef"]), int(str(fields["orderId"]))
        known, sent = self.truth.sent.get(reference), SentOrder(peer.client_id, order_id)
        if known is not None and known != sent and self._is_forgotten(reference):
            known = None
            self._rejected.discard(reference)
        if known is None:
            same = self.truth.by_number.setdefault((peer.client_id, order_id), reference)
            if same != reference:
                self.report("1: no order id is used twice", f"{reference} came as {order_id}, which was {same}")
            if reference in self._rejected:
                self.report("4: a rejected order never comes", f"{reference} came after it was called rejected")
            self.truth.sent[reference] = sent
            quantity = float(str(fields["totalQuantity"])) * (1 if fields["action"] == "BUY" else -1)
            self._pairs.comes(reference, str(fields["symbol"]), quantity)
            return
        if sent != known:
            facts = f"{reference} came as {known.client_id}/{known.order_id} and as {peer.client_id}/{order_id}"
            self.report("1: no intent is sent twice", facts)

    def _is_forgotten(self, reference: str) -> bool:
        """Return whether nothing names an order any longer.

        Its record was lost with the power, and TWS refused it: it is neither open nor completed, nor was it filled.
        """
        record = self.truth.record(reference)
        is_refused = record is None or record.status == "Inactive"
        is_filled = any(each.order == reference for each in self.truth.executions.values())
        return reference in self.excuses.unrecorded and is_refused and not is_filled

    def gateway_sent(self, peer: Peer, frames: bytes) -> None:
        """Record the executions and prices that a client is sent."""
        self._comparisons.gateway_sent(peer, frames, self._world.loop.now_ns)
        self.openings.prices.gateway_sent(peer, frames, self._world.loop.now_ns)

    def disconnected(self, peer: Peer, *, by_client: bool) -> None:
        """Ignore it."""

    # ---- what an engine sends ---------------------------------------------------------------------------------

    def sends(self, engine: EngineProcess, data: bytes) -> None:
        """Check the bytes that an engine gives to its socket."""
        runtime = engine.runtime
        if runtime is None or data.startswith(b"API\0"):
            return
        for payload in payloads(data):
            if payload.startswith(_PLACE_ORDER):
                version = runtime.service.health.server_version
                self._sends_order(engine, decode(INCOMING[3], split(payload), version))

    def _sends_order(self, engine: EngineProcess, fields: dict[str, Any]) -> None:
        reference = str(fields["orderRef"])
        generation, runtime = self._generation(engine), engine.runtime
        assert runtime is not None  # noqa: S101 - for the type checker
        generation.sent[reference] += 1
        self._given.add(reference)
        if runtime.service.link is not Link.UP:
            self.report("3: nothing leaves before the books are compared", f"{reference}: {runtime.service.link.value}")
        recorded = generation.recorded()[reference]
        if generation.sent[reference] > recorded:
            promise = "no intent is sent twice" if recorded else "an intent is in the journal before it leaves"
            self.report(
                f"1: {promise}", f"{reference} was sent {generation.sent[reference]} times, recorded {recorded} times"
            )
        self.openings.leaves(engine, generation, fields, self._world.loop.now_ns)

    # ---- the state of an engine --------------------------------------------------------------------------------

    def after_turn(self, engine: EngineProcess) -> None:
        """Check an engine after one of its turns."""
        runtime, generation = engine.runtime, self._generation(engine)
        if runtime is None or engine.reader is None:
            return
        if engine.snapshot:
            for topic, rows in engine.snapshot.items():
                self._rows(engine, generation, topic, rows)
            engine.snapshot = {}
        if engine.has_news:
            engine.has_news = False
            rows_by_topic, _ = engine.reader.drain()
            # Fills first: the link's row is compared with them.
            for topic in (Topic.FILLS, Topic.ORDERS, Topic.LINK):
                self._rows(engine, generation, topic, rows_by_topic.get(topic, []))
        self._halts_of(engine, generation)

    def _rows(self, engine: EngineProcess, generation: EngineGeneration, topic: Topic, rows: list[Row]) -> None:
        for row in rows:
            if topic is Topic.FILLS:
                self._fill(engine, generation, row)
            elif topic is Topic.ORDERS:
                self._order(generation, row)
            elif topic is Topic.LINK:
                self._link(engine, generation, str(row["link"]))

    def _fill(self, engine: EngineProcess, generation: EngineGeneration, row: Row) -> None:
        """Compare a fill that a desk reports with the venue's."""
        name, execution_id = str(row["execution_id"]).rpartition(".")[0], str(row["execution_id"])
        known = self.truth.executions.get(name)
        quantity = row["quantity"] * (1 if row["side"] == "buy" else -1)
        generation.fills[execution_id] = (quantity, float(row["price"]))
        if known is None:
            # Accepted outside trades have ids of the desk's own.
            if not execution_id.startswith("accepted/"):
                self.report("2: no fill is made up", f"{execution_id} of {row['order_id']}")
            return
        owner = owner_of(known.order)
        is_own = known.client_id == CLIENT and engine is self._world.engine
        if is_own and row["owner"] != owner and not self.excuses.has_lost_power:
            self.report("2: a fill is in the book of its order", f"{row} is of {owner}")
        if known.id == execution_id and (known.symbol, known.quantity, known.price) != (
            row["symbol"],
            quantity,
            row["price"],
        ):
            self.report("2: a fill is what the venue says", f"{row} where the venue has {known}")

    def _order(self, generation: EngineGeneration, row: Row) -> None:
        """Check an order that a desk reports."""
        name, key = str(row["id"]), str(row["client_key"])
        if row["status"] == OrderStatus.REJECTED.value:
            self._is_rejected(name)
        if (
            key
            and generation.keys.setdefault(key, name) != name
            and {name, generation.keys[key]} <= self.truth.sent.keys()
        ):
            self.report("1: a repeated request is one order", f"{key} was sent as {generation.keys[key]} and as {name}")

    def _is_rejected(self, reference: str) -> None:
        """Compare a rejection that a desk reports with the venue's record."""
        if reference in self._given:
            self._rejected.add(reference)
        record = self.truth.record(reference)
        if record is not None and record.status not in _ENDED:
            self.report("4: an order is rejected by evidence only", f"{reference} is {record.status} at the venue")

    def _link(self, engine: EngineProcess, generation: EngineGeneration, link: str) -> None:
        now_ns = self._world.loop.now_ns
        if link == Link.SYNCING.value != generation.link:
            generation.syncing_ns = now_ns
        if link != Link.UP.value or link == generation.link:
            generation.link = link
            return
        generation.link, generation.up_ns = link, now_ns
        booked = {name.rpartition(".")[0] for name in generation.fills}
        self._comparisons.came_up(engine.client_id, booked, generation.syncing_ns)
        if not generation.was_up:
            generation.was_up = True
            self._came_up(engine)

    def _came_up(self, engine: EngineProcess) -> None:
        """Compare the halts of a new generation with those of the previous one."""
        assert engine.runtime is not None  # noqa: S101 - for the type checker
        engines = [each for each in (self._world.engine, self._world.rival) if each is not None and each.is_up]
        if len({each.disk.folder for each in engines}) < len(engines):
            self.report("3: one process owns the state folder", "two engines on it are up")
        if engine.client_id != CLIENT:
            return
        # A halt lifted in the last turn of a generation was not recorded there.
        for halt in self._halts - self._world.person.lifted:
            if halt not in engine.runtime.engine.gate.halts:
                self.report("7: a halt is kept", f"{halt} is gone after a restart")

    def _halts_of(self, engine: EngineProcess, generation: EngineGeneration) -> None:
        runtime = engine.runtime
        assert runtime is not None  # noqa: S101 - for the type checker
        if engine.client_id != CLIENT or not generation.was_up:
            return
        halts = runtime.engine.gate.halts
        if halts.keys() == self._halts:
            return
        self._halts.update(halts)
        for halt in [halt for halt in self._halts if halt not in halts]:
            if halt not in self._world.person.lifted:
                self.report("7: a halt needs a person to lift it", f"{halt} is gone")
            self._halts.discard(halt)
            self.openings.lifted_ns = self._world.loop.now_ns

    def generation_ended(self, engine: EngineProcess, *, lost_power: bool = False) -> None:
        """Replay the journal of a generation that has ended."""
        generation = self._generations.pop(engine, None)
        if generation is None:
            return
        if lost_power and generation.sent:
            self.excuses.unrecorded |= generation.unrecorded()
        generation.close()
        if engine.journal is None or not engine.journal.exists() or engine.runtime is None:
            return
        registry = StrategyRegistry()
        for cls in ALL.values():
            loaded = _loaded(cls)
            registry.put(loaded.cls, loaded.source)
        try:
            replay(engine.journal, registry=registry)
        except IbdeskError as error:
            self.report("5: the same events give the same decisions", str(error))

    # ---- at the end -------------------------------------------------------------------------------------------

    def at_the_end(self) -> None:
        """Compare everything once more, long after the last fault."""
        engine = self._world.engine
        if engine is None or not engine.is_up or engine.runtime is None:
            self.report("liveness: the desk is up", f"it is {'down' if engine is None else engine.failure!r}")
            return
        runtime = engine.runtime
        if runtime.service.link is not Link.UP:
            self.report("liveness: the link is up", runtime.service.link.value)
            return
        self._compare_books(engine)
        ours = {order.id for order in runtime.engine.blotter.all_open()}
        theirs = {str(record.request.text("orderRef")) for record in self.truth.open_orders(engine.client_id)}
        if ours:
            self.report("liveness: all orders were withdrawn", f"open are {ours}, of which the venue has {theirs}")
        if ours != theirs:
            self.report("liveness: open orders agree", f"only ours {ours - theirs}, only the venue's {theirs - ours}")
        self._world.person.at_the_end(self.report)
        self.generation_ended(engine)

    def _compare_books(self, engine: EngineProcess) -> None:
        runtime, generation = engine.runtime, self._generation(engine)
        assert runtime is not None  # noqa: S101 - for the type checker
        booked: dict[str, tuple[float, float]] = {}
        for execution_id, (quantity, price) in generation.fills.items():
            name = execution_id.rpartition(".")[0]
            before, paid = booked.get(name, (0.0, 0.0))
            booked[name] = before + quantity, paid + quantity * price
        for each in self.truth.executions.values():
            held, paid = booked.get(each.name, (0.0, 0.0))
            is_equal = abs(held - each.quantity) < _DUST and abs(paid - each.quantity * each.price) < _CENT
            if each.client_id == engine.client_id and not is_equal:
                self.report("2: no fill is lost or counted twice", f"{each} is booked as {held:g} for {paid:g}")
        for symbol in self._plan.symbols:
            held = sum(book.position(symbol).quantity for book in runtime.engine.portfolio.books.values())
            if abs(held - self.truth.held(symbol)) > _DUST:
                facts = f"{symbol}: the books hold {held:g}, the account {self.truth.held(symbol):g}"
                self.report("3: books and account agree", facts)

    def take_in(self) -> None:
        """Read and check the new executions of the venue."""
        for each in self.truth.take_in():
            self._executed(each)

    def _executed(self, executed: Executed) -> None:
        """Check an execution."""
        self.excuses.executed(executed)
        if executed.client_id == GUARDIAN_CLIENT:
            self.guardian.guardian_traded(executed)
        elif executed.client_id == CLIENT:
            self.guardian.desk_traded(executed, self._halts)
            self._pairs.executed(executed)
            if self.excuses.is_alone:
                self._targets.executed(executed)

    def _can_withdraw(self, owner: str, since_ns: int) -> bool:
        """Return whether a run has had the time to cancel an order since then: it runs, and there is no fault."""
        engine = self._world.engine
        if self._world.is_storm or engine is None or not engine.is_up or engine.runtime is None:
            return False
        generation, run = self._generation(engine), engine.runtime.engine.runs.get(owner)
        if generation.link != Link.UP.value or run is None or run.state is not RunState.RUNNING:
            return False
        return self._world.loop.now_ns - max(since_ns, generation.up_ns) > _WITHDRAWN_NS

    def _generation(self, engine: EngineProcess) -> EngineGeneration:
        generation = self._generations.get(engine)
        if generation is None:
            generation = self._generations[engine] = EngineGeneration(engine, self._world.loop.now_ns)
        return generation


def _loaded(cls: Any) -> Any:
    from ibdesk.strategy.loader import strategy_of

    return strategy_of(cls)
