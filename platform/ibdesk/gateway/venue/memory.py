"""The venue's part of the state file: orders, executions and ids as plain values."""

from __future__ import annotations

import msgspec

from ibdesk.gateway.contracts.contract import ContractData
from ibdesk.gateway.venue.records import Execution, Key, OrderRecord
from ibdesk.model import Fill


class IdsMemory(msgspec.Struct, frozen=True):
    """The highest order id by client, the last permanent id, and the number of earlier starts of the gateway."""

    order_ids: dict[int, int]
    permanent: int
    starts: int


class ExecutionMemory(msgspec.Struct, frozen=True, kw_only=True):
    """An execution that names its order by key."""

    id: str
    key: Key
    contract: ContractData
    fill: Fill
    cumulative: float
    average_price: float
    commission: float
    realized: float | None


class VenueMemory(msgspec.Struct, frozen=True):
    """Everything that a venue needs to continue."""

    ids: IdsMemory
    orders: list[OrderRecord]
    executions: list[ExecutionMemory]


def remembered(execution: Execution) -> ExecutionMemory:
    """Return an execution as it is stored."""
    return ExecutionMemory(
        id=execution.id,
        key=execution.record.key,
        contract=execution.contract,
        fill=execution.fill,
        cumulative=execution.cumulative,
        average_price=execution.average_price,
        commission=execution.commission,
        realized=execution.realized,
    )


def recalled(memory: ExecutionMemory, record: OrderRecord) -> Execution:
    """Return a stored execution; `record` is the order that its key names."""
    return Execution(
        id=memory.id,
        record=record,
        contract=memory.contract,
        fill=memory.fill,
        cumulative=memory.cumulative,
        average_price=memory.average_price,
        commission=memory.commission,
        realized=memory.realized,
    )
