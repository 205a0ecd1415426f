"""Executions: created, booked to their account, numbered, stored and corrected."""

from __future__ import annotations

import msgspec

from ibdesk.gateway.contracts.contract import ContractData
from ibdesk.gateway.schedule import Schedule
from ibdesk.gateway.venue import combos
from ibdesk.gateway.venue.clearing import Clearing
from ibdesk.gateway.venue.ids import VenueIds, corrected
from ibdesk.gateway.venue.notifier import Notifier
from ibdesk.gateway.venue.records import Execution, OrderRecord
from ibdesk.model import Fill


class Executions:
    """Every execution so far, in `all`. A correction replaces the execution that it corrects."""

    def __init__(self, clearing: Clearing, ids: VenueIds, schedule: Schedule, notifier: Notifier) -> None:
        self.all: list[Execution] = []
        self._clearing = clearing
        self._ids = ids
        self._schedule = schedule
        self._notifier = notifier

    def trade(self, record: OrderRecord, contract: ContractData, quantity: float, price: float) -> Fill:
        """Return an execution on the order's side that did not happen at the exchange."""
        return Fill(
            execution_id="",
            order_id=record.order.id,
            instrument=contract.id,
            side=record.order.side,
            quantity=quantity,
            price=price,
            at_ns=self._schedule.now_ns,
            multiplier=contract.instrument.multiplier,
        )

    def book(self, record: OrderRecord, fill: Fill, commission: float | None = None) -> Execution:
        """Book an execution that the order has counted. Without `commission` the schedule's charge applies."""
        contract = record.contract
        name = self._ids.execution(fill.execution_id) if fill.execution_id else self._ids.own_execution()
        if commission is None:
            commission = self._clearing.commission(contract, fill.side, fill.quantity, fill.price)
        realized = self._clearing.book(record.account, contract, fill, commission)
        return self._keep(name, record, contract, fill, commission=commission, realized=realized)

    def note_whole(self, record: OrderRecord, fill: Fill) -> Execution:
        """Store the execution of a combination. It moves no position and costs nothing; its legs do."""
        return self._keep(self._ids.own_execution(), record, record.contract, fill, commission=0.0, realized=None)

    def book_legs(self, record: OrderRecord, quantity: float, prices: list[float]) -> list[Execution]:
        """Book the legs of `quantity` combinations at their prices."""
        booked = []
        trades = combos.leg_trades(record.contract, record.order.side)
        for (leg, side, ratio), price in zip(trades, prices, strict=True):
            fill = msgspec.structs.replace(self.trade(record, leg, ratio * quantity, price), side=side)
            charge = self._clearing.commission(leg, side, fill.quantity, price)
            realized = self._clearing.book(record.account, leg, fill, charge)
            name = self._ids.own_execution()
            booked.append(self._keep(name, record, leg, fill, commission=charge, realized=realized))
        return booked

    def correct(self, execution: Execution, *, price: float | None, quantity: float | None) -> Execution:
        """Correct price or size of an execution, in the account and in the order; return the corrected execution."""
        record, old = execution.record, execution.fill
        fill = msgspec.structs.replace(
            old,
            price=old.price if price is None else price,
            quantity=old.quantity if quantity is None else quantity,
        )
        self._clearing.take_back(record.account, execution.contract, old, execution.commission)
        realized = self._clearing.book(record.account, execution.contract, fill, execution.commission)
        value = record.average_price * record.filled - old.price * old.quantity + fill.price * fill.quantity
        record.filled += fill.quantity - old.quantity
        record.average_price = value / record.filled if record.filled else 0.0
        done = msgspec.structs.replace(
            execution,
            id=corrected(execution.id),
            fill=fill,
            cumulative=execution.cumulative + fill.quantity - old.quantity,
            average_price=record.average_price,
            realized=realized,
        )
        place = next(index for index, each in enumerate(self.all) if each.id == execution.id)
        self.all[place] = done
        self._notifier.changed(record)
        self._notifier.recorder.execution(place, done)
        return done

    def _keep(
        self,
        name: str,
        record: OrderRecord,
        contract: ContractData,
        fill: Fill,
        *,
        commission: float,
        realized: float | None,
    ) -> Execution:
        is_leg = contract is not record.contract
        execution = Execution(
            id=name,
            record=record,
            contract=contract,
            fill=fill,
            cumulative=fill.quantity if is_leg else record.filled,
            average_price=fill.price if is_leg else record.average_price,
            commission=commission,
            realized=realized,
        )
        self._notifier.recorder.execution(len(self.all), execution)
        self.all.append(execution)
        return execution
