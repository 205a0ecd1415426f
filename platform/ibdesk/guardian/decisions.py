"""When the guardian acts: its limits, a silent engine, books that differ. Values in, decisions out; no clock."""

from __future__ import annotations

import enum
from collections.abc import Mapping

import msgspec

from ibdesk.guardian.stop import Level

_SECOND = 1_000_000_000
# A loss counts once two consecutive reports of TWS show it, or one report that stands uncorrected for this long: a bad
# print is not a loss, and TWS need not report an unchanged profit.
_REPORTS, _STANDS_SECONDS = 2, 3.0


class OnSilence(enum.StrEnum):
    """The treatment of a run whose engine hangs."""

    # KEEP: nothing; its orders continue to work.
    KEEP = "keep"
    # CANCEL_OPENING: orders that would open a position are cancelled; protective orders stay.
    CANCEL_OPENING = "cancel_opening"
    # FLATTEN: its orders are cancelled and its positions closed.
    FLATTEN = "flatten"


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """The guardian's limits and its actions at each; a limit of None is off."""

    max_daily_loss: float | None = None
    max_gross_exposure: float | None = None
    max_orders_per_minute: float | None = None
    on_daily_loss: Level = Level.FLATTEN
    on_gross_exposure: Level = Level.HALT
    on_order_rate: Level = Level.CANCEL
    heartbeat_seconds: float = 10.0
    start_seconds: float = 120.0
    on_silence: OnSilence = OnSilence.CANCEL_OPENING
    on_silence_of: dict[str, OnSilence] = {}
    mismatch_grace_seconds: float = 60.0
    on_mismatch: Level = Level.HALT

    def silence_of(self, run_id: str) -> OnSilence:
        """Return the treatment of a run when the engine hangs.

        It is set by the run's id, or by its name: the part of the id before the last hyphen.
        """
        name = run_id.rpartition("-")[0]
        return self.on_silence_of.get(run_id, self.on_silence_of.get(name, self.on_silence))


class EngineObservation(msgspec.Struct, frozen=True, kw_only=True):
    """The engine that holds the account, observed from outside.

    `since_ns` is when this process was first seen; `answered_ns` is when it last answered a question that only its own
    event loop can answer, 0 before the first answer (monotonic clock).
    """

    pid: int
    is_stopped: bool
    since_ns: int
    answered_ns: int
    runs: tuple[str, ...] = ()


class Observation(msgspec.Struct, frozen=True, kw_only=True):
    """The guardian's knowledge at one moment; None is unknown.

    `pnl_reports` counts TWS's reports of the day's profit. `differences` are the positions in which the engine's
    books differ from the account, described by contract. `lifted` are the ids of the halts that a person has lifted.
    """

    now_ns: int
    daily_pnl: float | None = None
    pnl_reports: int = 0
    gross_exposure: float | None = None
    orders_last_minute: int = 0
    engine: EngineObservation | None = None
    differences: dict[str, str] = {}
    lifted: frozenset[str] = frozenset()


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """An action of the guardian that is due; without `runs` it concerns the whole account."""

    cause: str
    level: Level
    reason: str
    runs: tuple[str, ...] = ()


class Tripped(msgspec.Struct, frozen=True):
    """A rule that has acted: its halt, and the figure on which it acted."""

    halt_id: str
    figure: float = 0.0


class Decisions:
    """The guardian's rules. Each acts once, and again only after a person has lifted its halt.

    `tripped` are the rules that acted before a restart. `accepted_loss` is the loss that a person accepted by lifting
    the halt of the daily loss; the limit counts from there.
    """

    def __init__(
        self, rules: Rules, *, tripped: Mapping[str, Tripped] | None = None, accepted_loss: float = 0.0
    ) -> None:
        self.rules = rules
        self.tripped = dict(tripped or {})
        self.accepted_loss = accepted_loss
        self._breaches, self._last_report = 0, -1
        self._breached_ns = 0
        # _differ_since_ns: when books and account began to differ, by contract.
        self._differ_since_ns: dict[str, int] = {}
        self._silenced: tuple[int, int] | None = None

    def look(self, sight: Observation) -> list[Decision]:
        """Return the actions that are due. The caller confirms each with `acted`."""
        self._forget_lifted(sight)
        found = [
            self._daily_loss(sight),
            self._gross_exposure(sight),
            self._order_rate(sight),
            self._mismatch(sight),
            *self._silence(sight),
        ]
        return [decision for decision in found if decision is not None]

    def acted(self, decision: Decision, halt_id: str, sight: Observation) -> None:
        """Record that a decision is being carried out under this halt."""
        figure = -(sight.daily_pnl or 0.0) if decision.cause == "daily_loss" else 0.0
        self.tripped[decision.cause] = Tripped(halt_id, figure)
        if decision.cause == "silence" and sight.engine is not None:
            self._silenced = sight.engine.pid, sight.engine.answered_ns

    def unwatched(self, sight: Observation) -> list[str]:
        """Describe the figures that TWS does not report although a limit needs them."""
        missing = []
        if self.rules.max_daily_loss is not None and sight.daily_pnl is None:
            missing.append("the day's profit (guardian.max_daily_loss)")
        if self.rules.max_gross_exposure is not None and sight.gross_exposure is None:
            missing.append("prices and rates of all positions (guardian.max_gross_exposure)")
        return missing

    def is_hung(self, sight: Observation) -> bool:
        """Return whether the engine holds the account and does not answer."""
        engine = sight.engine
        if engine is None:
            return False
        if engine.answered_ns:
            return sight.now_ns - engine.answered_ns > self.rules.heartbeat_seconds * _SECOND
        return sight.now_ns - engine.since_ns > self.rules.start_seconds * _SECOND

    # --- the rules

    def _forget_lifted(self, sight: Observation) -> None:
        loss = max(0.0, -(sight.daily_pnl or 0.0))
        for cause, tripped in list(self.tripped.items()):
            if tripped.halt_id in sight.lifted:
                del self.tripped[cause]
                if cause == "daily_loss":
                    self.accepted_loss = max(loss, tripped.figure)
                    # The reports so far were judged by the old limit; TWS need not report again.
                    self._breaches = 0
                if cause == "mismatch":
                    self._differ_since_ns = {}
        if sight.daily_pnl is not None:
            # The acceptance ends when the loss is made good, or with a new day.
            self.accepted_loss = min(self.accepted_loss, loss)

    def _daily_loss(self, sight: Observation) -> Decision | None:
        limit, pnl = self.rules.max_daily_loss, sight.daily_pnl
        if limit is None or pnl is None:
            return None
        if sight.pnl_reports != self._last_report:
            self._last_report = sight.pnl_reports
            self._breaches = self._breaches + 1 if -pnl > limit + self.accepted_loss else 0
            if self._breaches == 1:
                self._breached_ns = sight.now_ns
        stands = sight.now_ns - self._breached_ns >= _STANDS_SECONDS * _SECOND
        if not self._breaches or "daily_loss" in self.tripped or not (self._breaches >= _REPORTS or stands):
            return None
        accepted = f" beyond the {self.accepted_loss:,.2f} that were accepted" if self.accepted_loss else ""
        return Decision(
            cause="daily_loss",
            level=self.rules.on_daily_loss,
            reason=f"the account has lost {-pnl:,.2f} today, guardian.max_daily_loss is {limit:,.2f}{accepted}",
        )

    def _gross_exposure(self, sight: Observation) -> Decision | None:
        limit, gross = self.rules.max_gross_exposure, sight.gross_exposure
        if limit is None or gross is None or gross <= limit or "gross_exposure" in self.tripped:
            return None
        return Decision(
            cause="gross_exposure",
            level=self.rules.on_gross_exposure,
            reason=f"the account's positions are worth {gross:,.2f}, guardian.max_gross_exposure is {limit:,.2f}",
        )

    def _order_rate(self, sight: Observation) -> Decision | None:
        limit, orders = self.rules.max_orders_per_minute, sight.orders_last_minute
        if limit is None or orders <= limit or "order_rate" in self.tripped:
            return None
        return Decision(
            cause="order_rate",
            level=self.rules.on_order_rate,
            reason=f"{orders} orders came to the account within a minute, guardian.max_orders_per_minute is {limit:g}",
        )

    def _mismatch(self, sight: Observation) -> Decision | None:
        if "mismatch" in self.tripped:
            self._differ_since_ns = {}
            return None
        # Each contract separately: in a lively market books differ in one or another at any moment.
        known = self._differ_since_ns
        self._differ_since_ns = {name: known.get(name, sight.now_ns) for name in sight.differences}
        grace = self.rules.mismatch_grace_seconds
        lasting = {
            name: (sight.now_ns - since_ns) / _SECOND
            for name, since_ns in self._differ_since_ns.items()
            if sight.now_ns - since_ns >= grace * _SECOND
        }
        if not lasting:
            return None
        words = "; ".join(sight.differences[name] for name in list(lasting)[:3])
        return Decision(
            cause="mismatch",
            level=self.rules.on_mismatch,
            reason=(
                f"the engine's books have differed from the account for {max(lasting.values()):.0f} s ({words}), "
                f"guardian.mismatch_grace_seconds is {grace:g}"
            ),
        )

    def _silence(self, sight: Observation) -> list[Decision]:
        engine = sight.engine
        if engine is None or not self.is_hung(sight) or "silence" in self.tripped:
            return []
        if self._silenced == (engine.pid, engine.answered_ns):
            # A person has lifted the halt of this silence.
            return []
        seconds = (sight.now_ns - (engine.answered_ns or engine.since_ns)) / _SECOND
        how = "is stopped and has not answered" if engine.is_stopped else "has not answered"
        who = f"the engine (process {engine.pid})" if engine.pid else "the engine"
        reason = f"{who} {how} for {seconds:.1f} s, guardian.heartbeat_seconds is {self.rules.heartbeat_seconds:g}"
        kinds = {run: self.rules.silence_of(run) for run in engine.runs}
        if len(set(kinds.values())) <= 1:
            # Orders and positions without a run, such as orders by hand, follow the general policy.
            kind = next(iter(kinds.values()), self.rules.on_silence)
            return [Decision(cause="silence", level=_LEVELS[kind], reason=reason)] if kind in _LEVELS else []
        return [
            Decision(cause="silence", level=level, reason=reason, runs=runs)
            for kind, level in _LEVELS.items()
            if (runs := tuple(run for run, its in kinds.items() if its is kind))
        ]


_LEVELS = {OnSilence.FLATTEN: Level.FLATTEN, OnSilence.CANCEL_OPENING: Level.HALT}
