"""The engine's state as plain values: a run, the risk gate, an instrument."""

from __future__ import annotations

import math

import msgspec

from ibdesk.desk.answers import (
    ExposureInfo,
    HaltInfo,
    InstrumentInfo,
    LaneInfo,
    OrderInfo,
    RiskInfo,
    RunDetail,
    RunInfo,
)
from ibdesk.desk.ledger import order_row, unrealized
from ibdesk.desk.publisher import run_row
from ibdesk.desk.unanswered import Asked, Unanswered
from ibdesk.engine import EXTERNAL, Engine, Run
from ibdesk.engine.lane import Lane
from ibdesk.model import AnyInstrument, Halt, Order

_SECOND = 1_000_000_000


def run_info(run: Run) -> RunInfo:
    """Return the summary of a run."""
    return msgspec.convert(run_row(run), RunInfo)


def order_info(order: Order, asked: Asked | None = None) -> OrderInfo:
    """Return the answer for an order; `asked` is the request that the venue has not answered yet."""
    return msgspec.convert(order_row(order, asked), OrderInfo)


def run_detail(engine: Engine, run: Run, unanswered: Unanswered) -> RunDetail:
    """Return the details of a run; its strategy's state is the last valid one."""
    open_orders = [order for name in run.lanes for order in engine.blotter.open_orders(run.id, name)]
    return RunDetail(
        run=run_info(run),
        kept=run.saved_state,
        cash=run.book.cash,
        pnl=engine.orders.exposures.exact_pnl(run.id),
        orders_made=run.orders.made,
        lanes=[_lane_info(engine, lane) for lane in run.lanes.values()],
        open_orders=[order_info(order, unanswered.of(order.id)) for order in open_orders],
    )


def _lane_info(engine: Engine, lane: Lane) -> LaneInfo:
    position, price, bar = lane.run.book.position(lane.instrument), engine.price_of(lane.instrument), lane.last_bar
    columns = ("opened_ns", "open", "high", "low", "close", "volume")
    return LaneInfo(
        symbol=lane.instrument,
        quantity=position.quantity,
        average_price=position.average_price,
        exposure=lane.exposure,
        last_price=engine.orders.last_of(lane.instrument),
        mark_price=price,
        unrealized_pnl=unrealized(position, price),
        realized_pnl=position.realized_pnl,
        bar=None if bar is None else {name: getattr(bar, name) for name in columns},
        features=lane.features.values(),
    )


def halt_info(halt: Halt) -> HaltInfo:
    """Return the answer for a halt."""
    return HaltInfo(
        id=halt.id, reason=halt.reason, by=halt.by, at_ns=halt.at_ns, scope=halt.scope, state=halt.state.value
    )


def risk_info(engine: Engine, at_ns: int) -> RiskInfo:
    """Return the limits and their use at `at_ns`."""
    gate = engine.gate
    return RiskInfo(
        limits={name: None if limit == math.inf else limit for name, limit in gate.limits.by_name.items()},
        changed=gate.limits != gate.settings,
        halts=[halt_info(halt) for halt in gate.halts.values()],
        link_up=engine.orders.link_up,
        day_loss=engine.losses.loss,
        day_ends_ns=engine.losses.day_end,
        orders_last_second=gate.sent_since(at_ns - _SECOND),
        exposures=_exposures(engine),
        uncovered=dict(engine.orders.outside.uncovered),
    )


def _exposures(engine: Engine) -> list[ExposureInfo]:
    """Return the positions and pending entries of each owner except `external`."""
    held = [(book.owner, name) for book in engine.portfolio.books.values() for name in book.positions]
    ordered = [(order.owner, order.instrument) for order in engine.blotter.all_open()]
    found = []
    for owner, name in dict.fromkeys(held + ordered):
        quantity = engine.portfolio.open_book(owner).position(name).quantity
        sums, price, market = engine.blotter.sums(owner, name), engine.price_of(name), engine.markets.get(name)
        exposure, (highest, lowest) = sums.exposure(quantity), sums.worst(quantity)
        if owner == EXTERNAL or not (quantity or highest or lowest):
            continue
        multiplier = 1.0 if market is None else market.instrument.multiplier
        found.append(
            ExposureInfo(
                owner=owner,
                symbol=name,
                held=quantity,
                pending=exposure - quantity,
                exposure=exposure,
                highest=highest,
                lowest=lowest,
                last_price=engine.orders.last_of(name),
                mark_price=price,
                value=None if price is None else exposure * price * multiplier,
            )
        )
    return found


def instrument_info(instrument: AnyInstrument) -> InstrumentInfo:
    """Return the answer for a qualified instrument."""
    session = instrument.session
    opens, closes = (f"{minute // 60:02}:{minute % 60:02}" for minute in (session.opens, session.closes))
    return InstrumentInfo(
        name=instrument.id,
        kind=type(instrument).__name__.lower(),
        symbol=instrument.symbol,
        exchange=instrument.exchange,
        currency=instrument.currency,
        tick_size=instrument.tick_size,
        multiplier=instrument.multiplier,
        zone=session.zone,
        session=f"{opens}-{closes}",
    )
