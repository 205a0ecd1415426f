"""Halting and resuming: the desk's commands, and checks of their arguments that are also used without a desk."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ibdesk.desk.answers import HaltInfo
from ibdesk.desk.inspection import halt_info
from ibdesk.desk.manual_orders import until_link_up
from ibdesk.desk.naming import id_named
from ibdesk.engine import MANUAL
from ibdesk.errors import DeskError
from ibdesk.model import DESK_SCOPE, OPERATOR, HaltTrading, Link, ResumeTrading, TradingState, instrument_scope
from ibdesk.telemetry import correlation_id

if TYPE_CHECKING:
    from ibdesk.desk.runtime import Runtime


class HaltCommands:
    """The commands that halt and resume, as coroutines for the desk's loop."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime

    async def halt(
        self, reason: str, *, scope: str = DESK_SCOPE, state: str = TradingState.HALTED.value, by: str = OPERATOR
    ) -> HaltInfo:
        """Deny every order that does not reduce a position, and cancel such open orders, until `resume`.

        The halt belongs to the account: it also holds after a restart of the desk, under another client id and in
        another state folder. `scope` is ``desk``, ``run:<id>`` or ``instrument:<name>``. In state ``reducing``
        strategies may reduce and protect their positions; in ``halted`` too, unless `risk.halt_keeps_protection` is
        off. `by` is the author. The returned halt has the id that lifts it. If the same author halts again with the
        same reason, the existing halt is returned.

        Raises:
            DeskError: If there is no such scope or state.
        """
        said, scope, wanted = stated_reason(reason, "halt"), self._scope(scope), halting_state(state)
        self._runtime.command(HaltTrading(said, self._now_ns, by, correlation_id.get(), scope, wanted))
        halts = self._runtime.engine.gate.halts.values()
        asked = by, said, scope, wanted
        return next(halt_info(each) for each in halts if (each.by, each.reason, each.scope, each.state) == asked)

    def _scope(self, scope: str) -> str:
        """Return a scope with the instrument's own name.

        Raises:
            DeskError: If the scope is not valid, or names an unknown run.
        """
        named = scope_named(scope, self._now_ns)
        run = named.removeprefix("run:")
        if run not in (named, MANUAL) and run not in self._runtime.engine.runs:
            raise DeskError(f"there is no run {run!r}: the runs are {', '.join(self._runtime.engine.runs) or 'none'}")
        return named

    async def resume(self, reason: str, *, id: str = "", by: str = OPERATOR) -> None:  # noqa: A002 - as people say
        """Lift the halt with this id and no other; `reason` is journaled.

        `risk` lists the current halts; trading continues when there is none. If the guardian cancelled orders or closed
        positions under the halt, the books are compared with the account before an order leaves.

        Raises:
            DeskError: If there is no such halt, or no id or reason is given; then nothing is lifted.
        """
        halt = self._runtime.engine.gate.halts.find(id)
        if self._runtime.recorder.failure:
            raise DeskError(f"no halt can be lifted while it cannot be recorded: {self._runtime.recorder.failure}")
        said = stated_reason(reason, "resume")
        was_up = self._runtime.engine.link is Link.UP
        await self._runtime.account_watch.lift(id, said, by)
        self._runtime.command(ResumeTrading(id, said, self._now_ns, by, correlation_id.get()))
        if halt.is_exclusive and was_up:
            await until_link_up(self._runtime)

    @property
    def _now_ns(self) -> int:
        return self._runtime.clock.now_ns()


def scope_named(scope: str, at_ns: int) -> str:
    """Return a scope with the instrument's own name.

    Raises:
        DeskError: If the scope is not valid.
    """
    kind, _, name = scope.partition(":")
    if kind == "instrument" and name:
        return instrument_scope(id_named(name, at_ns))
    if scope == DESK_SCOPE or (kind == "run" and name):
        return scope
    raise DeskError(f"a scope is desk, run:<id> or instrument:<name>, got {scope!r}")


def halting_state(state: str) -> TradingState:
    """Return the state of a halt by its name.

    Raises:
        DeskError: If there is no such state.
    """
    known = [each.value for each in TradingState if each is not TradingState.NORMAL]
    if state not in known:
        raise DeskError(f"the state of a halt is {' or '.join(known)}, got {state!r}")
    return TradingState(state)


def stated_reason(reason: str, what: str) -> str:
    """Return the reason to halt or resume trading, without surrounding blanks.

    Raises:
        DeskError: If the reason is empty or not text.
    """
    if not isinstance(reason, str):
        raise DeskError(f"the reason to {what} trading must be text, got {reason!r}")
    if not reason.strip():
        raise DeskError(f"give a reason to {what} trading: it is journaled")
    return reason.strip()
