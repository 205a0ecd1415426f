"""The desk's commands: run strategies, trade by hand, halt.

Each command is journaled with its author and the id of the request that caused it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import ValidationError

from ibdesk.desk.answers import OrderInfo, RiskInfo, RunInfo
from ibdesk.desk.halt_commands import HaltCommands
from ibdesk.desk.inspection import order_info, risk_info, run_info
from ibdesk.desk.manual_orders import ManualOrders, figure_of, no_order
from ibdesk.desk.naming import id_named
from ibdesk.engine import EXTERNAL, MANUAL, RiskLimits
from ibdesk.errors import ConfigError, DeskError, OrderError
from ibdesk.model import (
    OPERATOR,
    AcceptExternal,
    BarSource,
    CancelOrder,
    CancelRequest,
    ChangeLimits,
    ChangeParameters,
    Instrument,
    ModifyRequest,
    OrderDropped,
    RunBudget,
    Side,
    StopStrategy,
    TimeInForce,
    WhenClosed,
    interval_ns,
)
from ibdesk.strategy import Strategy
from ibdesk.telemetry import correlation_id

if TYPE_CHECKING:
    from ibdesk.desk.runtime import Runtime


# The name of a run is part of its orders' ids, which TWS echoes.
_NAME = re.compile(r"[A-Za-z0-9_-]{1,40}")


class Commands(HaltCommands):
    """The desk's commands, as coroutines for its loop."""

    def __init__(self, runtime: Runtime) -> None:
        super().__init__(runtime)
        self._manual_orders = ManualOrders(runtime)

    async def start(
        self,
        strategy: Strategy | type[Strategy] | str | Path,
        *,
        on: str | Instrument | Iterable[str | Instrument],
        bar: str = "5 secs",
        bars_from: BarSource | str = BarSource.BARS,
        warm_up: int = 300,
        parameters: dict[str, object] | None = None,
        cash: float = 0.0,
        run_id: str = "",
        name: str = "",
        budget: Mapping[str, float] | None = None,
        by: str = OPERATOR,
    ) -> str:
        """Run a strategy on some instruments and return the run's id.

        `strategy` is an object, a class, or the path of a strategy file; `parameters` override its own. The run is
        warmed up with `warm_up` bars of history and decides from the next bar on. Its bars are built from TWS's
        5-second bars, or with `bars_from` from ``ticks`` or ``quotes``. `cash` is the money allotted to it. `budget`
        sets limits of the run beside those of the account, by their names in `RunBudget`, as
        ``{"max_daily_loss": 500}``; without it a continued run keeps its own.

        A run that was at work when the desk stopped (state ``orphaned``) is continued if it is started in the same
        way, with the same class, parameters, instruments and bars: the new run takes over its book, its open orders
        and its `state`. Another start is refused, so that two runs do not hold the same position. To continue the run
        in the new way, pass its id as `run_id` (the run must have ended), or stop it first.

        A strategy that already runs on one of the instruments is not started twice: with the same parameters,
        instruments, bars and cash its run is returned, otherwise an error lists the differences. An intended second
        run needs a `name`.

        Raises:
            StrategyError: If the file or the parameters are wrong.
            InstrumentError: If an instrument is unknown or ambiguous.
            ConfigError: If `bar` or `bars_from` is not valid, `warm_up` is negative, or `budget` has an unknown limit.
            DeskError: If the start fails, `run_id` is not a run that has ended, or the strategy already runs there in
                another way, or did when an earlier desk stopped.
        """
        if warm_up < 0:
            raise ConfigError(f"warm_up must be a number of bars, got {warm_up}")
        names = [on] if isinstance(on, str | Instrument) else list(on)
        if name and (not _NAME.fullmatch(name) or name in (MANUAL, EXTERNAL)):
            raise ConfigError(f"a run's name is 1 to 40 letters, digits, - and _, got {name!r}")
        if not names:
            raise DeskError("name at least one instrument to run on, such as on=['AAPL']")
        return await self._runtime.run_starter.start(
            strategy,
            on=names,
            bar_ns=interval_ns(bar),
            bar_source=_source(bars_from),
            warm_up=warm_up,
            parameters=parameters or {},
            cash=cash,
            run_id=run_id,
            name=name,
            budget=None if budget is None else budget_of(budget),
            by=by,
            correlation_id=correlation_id.get(),
        )

    async def stop(self, run_id: str, *, flatten: bool = False, by: str = OPERATOR) -> None:
        """Stop a run: cancel its open orders, and with `flatten` close its positions at the market.

        Raises:
            DeskError: If there is no such run.
        """
        self._runtime.command(StopStrategy(run_id, self._now_ns, flatten, by, correlation_id.get()))

    async def change_parameters(self, run_id: str, parameters: dict[str, object], *, by: str = OPERATOR) -> RunInfo:
        """Change parameters of a run; others stay. If one is wrong, none is changed.

        Its features are computed again over all its bars, so that from the next bar on it decides like a run that was
        started with these parameters. Its state, positions and orders stay. A restart keeps the parameters.

        Raises:
            StrategyError: If a parameter is unknown or out of its range, or the features fail with it.
            DeskError: If there is no such run, or it has ended.
        """
        run = self._runtime.engine.run_of(run_id)
        loading, before = self._runtime.loading, None
        while before is not run.start.parameters:
            # Repeated if another change came in between, so that its parameters stay.
            before = run.start.parameters
            checked = await loading.check_parameters(type(run.strategy), run.start.source, before | parameters)
        self._runtime.command(
            ChangeParameters(
                run_id=run_id,
                parameters=checked,
                at_ns=self._now_ns,
                by=by,
                correlation_id=correlation_id.get(),
            )
        )
        return run_info(run)

    async def change_limits(self, limits: dict[str, float | str | bool | None], *, by: str = OPERATOR) -> RiskInfo:
        """Change limits of the risk gate by name; None switches one off, others stay.

        They also hold after a restart, until the risk settings themselves are changed.

        Raises:
            ConfigError: If there is no such limit, or it is out of range; then none is changed.
        """
        runtime = self._runtime
        changed = checked_limits(runtime.engine.gate.limits, limits)
        runtime.command(
            ChangeLimits(limits=changed.by_name, at_ns=self._now_ns, by=by, correlation_id=correlation_id.get())
        )
        return risk_info(runtime.engine, self._now_ns)

    async def place(
        self,
        symbol: str | Instrument,
        side: Side | str,
        quantity: float,
        *,
        limit: float | None = None,
        stop: float | None = None,
        time_in_force: TimeInForce | str = TimeInForce.DAY,
        outside_regular_hours: bool = False,
        when_closed: WhenClosed | str = WhenClosed.USUAL,
        client_key: str = "",
        by: str = OPERATOR,
    ) -> OrderInfo:
        """Place an order by hand, at the market unless `limit` or `stop` (prices) is given.

        It belongs to the book ``manual``, which no strategy uses, and passes the same risk gate as strategies' orders.
        It is returned once its bytes are written to the socket; above `risk.max_orders_per_second` it waits
        (``created``). If the same `by` uses the same `client_key` again, even after a restart, the first order is
        returned and nothing is sent; an empty key never matches. `outside_regular_hours` lets a limit or stop also
        trade before and after the regular session; `when_closed` (``usual``, ``deny``, ``hold``, ``send``) decides what
        happens while the market is closed. The gate needs a price: if none is known yet, quotes are requested first.

        Raises:
            OrderDeniedError: If a risk rule refuses it.
            OrderError: If its terms contradict each other, or the key was used for another order.
            InstrumentError: If the instrument is unknown or ambiguous.
            DeskError: If no price of it is known and none arrives within seconds.
            LinkError: If TWS cannot be asked.
        """
        order = await self._manual_orders.place(
            symbol,
            side=side,
            quantity=quantity,
            limit=limit,
            stop=stop,
            time_in_force=time_in_force,
            outside_regular_hours=outside_regular_hours,
            when_closed=when_closed,
            client_key=client_key,
            by=by,
            correlation_id=correlation_id.get(),
        )
        return order_info(order)

    async def watch(self, symbol: str | Instrument, *, by: str = OPERATOR) -> None:
        """Subscribe to the quotes of an instrument, and return once a price of it is known.

        Raises:
            InstrumentError: If the instrument is unknown or ambiguous.
            DeskError: If no price of it arrives within seconds; the subscription stays.
            LinkError: If TWS cannot be asked.
        """
        await self._manual_orders.watch(await self._runtime.qualified(symbol), by, correlation_id.get())

    async def modify(
        self,
        order_id: str,
        *,
        quantity: float | None = None,
        limit: float | None = None,
        stop: float | None = None,
        seen: int | str | None = None,
        by: str = OPERATOR,
    ) -> OrderInfo:
        """Request other terms of an open order, including a strategy's; terms that are None stay.

        The returned order keeps its terms until the venue agrees to the new ones; its `pending` names the request that
        the venue has not answered yet. `seen` is the `version` of the order on which the caller has decided: nothing is
        requested if its terms have changed since, or if it was partly filled.

        Raises:
            OrderDeniedError: If a risk rule refuses the new terms.
            OrderChangedError: If the order's version is not `seen`, or a change of it is on its way.
            OrderError: If the terms contradict each other, none is given, or the order is no longer open.
            DeskError: If this desk has no such order.
        """
        request = ModifyRequest(
            order_id=order_id,
            at_ns=self._now_ns,
            quantity=None if quantity is None else figure_of(quantity, "quantity"),
            limit_price=None if limit is None else figure_of(limit, "limit"),
            stop_price=None if stop is None else figure_of(stop, "stop"),
            by=by,
            correlation_id=correlation_id.get(),
        )
        if seen is not None and not str(seen).isdecimal():
            raise OrderError(f"seen is the version of an order, such as 3, got {seen!r}")
        changed = self._manual_orders.modify(request, seen=None if seen is None else int(seen))
        return order_info(changed, self._runtime.unanswered.of(changed.id))

    async def cancel(self, order_id: str, *, by: str = OPERATOR) -> None:
        """Cancel the remaining quantity of an open order.

        Raises:
            DeskError: If this desk has no such order.
        """
        if order_id not in self._runtime.engine.blotter.orders:
            raise no_order(order_id)
        self._runtime.command(CancelRequest(order_id, self._now_ns, by=by, correlation_id=correlation_id.get()))

    async def cancel_all(self, *, owner: str = "", symbol: str = "", by: str = OPERATOR) -> int:
        """Cancel every open order of this desk, or those of an owner or in an instrument; return their number.

        An owner is the id of a run, or ``manual`` for orders by hand.
        """
        symbol = id_named(symbol, self._now_ns)
        request = CancelRequest(
            "", self._now_ns, owner=owner, symbol=symbol, by=by, correlation_id=correlation_id.get()
        )
        return sum(isinstance(action, CancelOrder | OrderDropped) for action in self._runtime.command(request))

    async def flatten(self, *, symbol: str = "", by: str = OPERATOR) -> list[OrderInfo]:
        """Close the positions of the book ``manual`` at the market, in one instrument or all; return the orders sent.

        Its open orders are cancelled first, and fills until then are counted. A run is flattened by `stop`.

        Raises:
            DeskError: If the venue does not answer a cancel; then nothing is closed.
            OrderDeniedError: If a risk rule refuses an order.
            LinkError: If TWS cannot be asked.
        """
        orders = await self._manual_orders.flatten(id_named(symbol, self._now_ns), by, correlation_id.get())
        return [order_info(order) for order in orders]

    async def accept_external(self, symbol: str, *, run_id: str = "", by: str = OPERATOR) -> None:
        """Book trades outside this desk to the runs whose positions they reduced, and let these runs order again.

        Until then, every order in the instrument is refused for runs whose position the account does not cover (`risk`
        lists them). Their books take the trade at its price, and strategies continue from the remaining position. A
        strategy with a target may open the position again: stop its run first to prevent that. `run_id` restricts the
        booking to one run, or to ``manual``.

        Raises:
            DeskError: If the account covers the books' positions, or no price of the instrument is known.
        """
        self._runtime.command(
            AcceptExternal(
                instrument=id_named(symbol, self._now_ns),
                at_ns=self._now_ns,
                owner=run_id,
                by=by,
                correlation_id=correlation_id.get(),
            )
        )


def checked_limits(limits: RiskLimits, changes: dict[str, float | str | bool | None]) -> RiskLimits:
    """Return the limits with changes by name.

    Raises:
        ConfigError: If there is no such limit, or it is out of range.
    """
    unknown = sorted(set(changes) - set(limits.by_name))
    if unknown:
        raise ConfigError(f"there is no limit {', '.join(unknown)}: the limits are {', '.join(limits.by_name)}")
    named = {name: math.inf if limit is None else limit for name, limit in changes.items()}
    for name, limit in named.items():
        # Settings are read from text, where 1 stands for true; a change of a limit must have the limit's own type.
        if isinstance(limit, bool) is not isinstance(limits.by_name[name], bool):
            wanted = "true or false" if isinstance(limits.by_name[name], bool) else "a number or a word"
            raise ConfigError(f"these limits cannot be used: risk.{name} is {wanted}, not {limit!r}")
    try:
        return limits.but(named)
    except ValidationError as error:
        faults = "; ".join(f"risk.{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors())
        raise ConfigError(f"these limits cannot be used: {faults}") from None


def budget_of(limits: Mapping[str, float]) -> RunBudget:
    """Return the budget with these limits.

    Raises:
        ConfigError: If there is no such limit, or one is not positive.
    """
    known = RunBudget.__struct_fields__
    if unknown := sorted(set(limits) - set(known)):
        raise ConfigError(f"a budget has no {', '.join(unknown)}: its limits are {', '.join(known)}")
    return RunBudget(**limits).checked()


def _source(bars_from: BarSource | str) -> BarSource:
    try:
        return BarSource(bars_from)
    except ValueError:
        known = ", ".join(source.value for source in BarSource)
        raise ConfigError(f"bars_from must be one of {known}, got {bars_from!r}") from None
