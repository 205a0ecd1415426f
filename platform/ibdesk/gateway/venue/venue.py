"""Where clients' orders are worked: what outlives a session — orders, executions, order ids — around the exchange.

The order of the messages is that of paper accounts (captured): an order is acknowledged as PreSubmitted; one that
rests is shown again as Submitted, a stop twice as PreSubmitted; an execution comes before the status it leads to, and
its commission last.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator

import msgspec

from ibdesk.exchange import CommissionSchedule, Exchange, VenueEvent
from ibdesk.gateway.account.ledger import Ledger
from ibdesk.gateway.contracts.book import ContractData
from ibdesk.gateway.protocol.codec import Fields
from ibdesk.gateway.refusal import RefusedError
from ibdesk.model import Commission, Fill, Order, OrderReport, OrderStatus, OrderType, Quote, Side

DONE = frozenset({"Filled", "Cancelled", "Inactive"})
STOPS = frozenset({OrderType.STOP, OrderType.STOP_LIMIT})
NOT_ENOUGH = (
    "Order rejected - reason:YOUR ORDER IS NOT ACCEPTED. IN ORDER TO OBTAIN THE DESIRED POSITION YOUR EQUITY WITH LOAN "
    "VALUE [{equity:.2f} {currency}] MUST EXCEED THE INITIAL MARGIN [{required:.2f} {currency}]"
)


class OrderRecord(msgspec.Struct, kw_only=True):
    """A client's order as TWS keeps it: the request it came with, and what became of it."""

    client_id: int
    order_id: int
    permanent_id: int
    contract: ContractData
    request: Fields
    order: Order
    account: str
    status: str = "PreSubmitted"
    why_held: str = ""
    filled: float = 0.0
    # filled_before: what was filled before the order changed its type and so became another one to the exchange.
    filled_before: float = 0.0
    average_price: float = 0.0
    last_price: float = 0.0
    completed_ns: int = 0
    completed_status: str = ""

    @property
    def is_done(self) -> bool:
        """Return whether nothing more will happen to it."""
        return self.status in DONE

    @property
    def remaining(self) -> float:
        """Return what is not filled."""
        return self.order.quantity - self.filled


class Execution(msgspec.Struct, frozen=True, kw_only=True):
    """One execution and its commission; `realized` is nothing when it closed no position."""

    id: str
    record: OrderRecord
    fill: Fill
    cumulative: float
    average_price: float
    commission: float
    realized: float | None


class Audience(msgspec.Struct, frozen=True):
    """Whom the venue tells: of an order, an execution, an error, and that the account changed."""

    order: Callable[[OrderRecord], None]
    status: Callable[[OrderRecord], None]
    execution: Callable[[Execution], None]
    commission: Callable[[Execution], None]
    error: Callable[[int, int, int, str], None]
    account: Callable[[ContractData], None]


class Venue:
    """All orders of all clients.

    `started_ns` (ns UTC) and `seed` make the execution and permanent ids of different runs differ, so that nobody who
    keeps them takes an execution of this run for one of an earlier run.
    """

    def __init__(
        self,
        ledger: Ledger,
        now_ns: Callable[[], int],
        *,
        started_ns: int,
        seed: int,
        audience: Audience,
        commissions: CommissionSchedule,
        partial: bool = False,
    ) -> None:
        self.exchange = Exchange(commissions=commissions, partial=partial)
        self._commissions = commissions
        self.ledger = ledger
        self.records: dict[tuple[int, int], OrderRecord] = {}
        self.executions: list[Execution] = []
        self.refuse_next: str | None = None
        self._now_ns = now_ns
        self._audience = audience
        self._working: dict[str, OrderRecord] = {}
        self._highest: dict[int, int] = {}
        self._run = f"{zlib.crc32(f'{started_ns} {seed}'.encode()):08x}"
        # A thousand million and the milliseconds of the start: as long as IB's, and within 32 bits.
        self._permanent_ids = 1_000_000_000 + started_ns // 1_000_000 % 1_000_000_000
        self._sent = 0

    # ---- ids --------------------------------------------------------------------------------------------------

    def next_order_id(self, client_id: int) -> int:
        """Return the lowest order id the client may use."""
        return self._highest.get(client_id, 0) + 1

    def set_next_order_id(self, client_id: int, order_id: int) -> None:
        """Make `next_order_id` answer this from now on, also lower than what was used."""
        self._highest[client_id] = order_id - 1

    def new_permanent_id(self) -> int:
        """Return a permanent id that no other order has."""
        self._permanent_ids += 1
        return self._permanent_ids

    # ---- what clients do --------------------------------------------------------------------------------------

    def place(self, record: OrderRecord) -> None:
        """Take a new order and tell what became of it.

        Raises:
            RefusedError: If its id was used before (103).
        """
        key = (record.client_id, record.order_id)
        if record.order_id < self.next_order_id(record.client_id):
            raise RefusedError(103, "Duplicate order ID.")
        self._highest[record.client_id] = record.order_id
        self.records[key] = record
        reason = self._objection(record)
        if reason:
            self._reject(record, reason)
            return
        record.why_held = "trigger" if record.order.type in STOPS else ""
        self._show(record)
        self._submit(record)

    def modify(self, record: OrderRecord, request: Fields, order: Order) -> None:
        """Give an open order new terms; it is shown again."""
        record.request = request
        old, record.order = record.order, msgspec.structs.replace(order, id=record.order.id)
        if old.type is order.type:
            events = self.exchange.modify(
                old.id,
                quantity=order.quantity - record.filled_before,
                limit_price=order.limit_price,
                stop_price=order.stop_price,
                at_ns=self._now_ns(),
            )
            self._show(record)
            if record.why_held:
                self._show(record)
            self._take(events)
            return
        # To the exchange another type is another order, for what is left of this one.
        self.exchange.cancel(old.id, self._now_ns())
        del self._working[old.id]
        record.why_held = "trigger" if order.type in STOPS else ""
        self._show(record)
        self._submit(record)

    def cancel(self, record: OrderRecord, reason: str = "") -> None:
        """Withdraw an open order: its status, then error 202 (captured)."""
        self.exchange.cancel(record.order.id, self._now_ns())
        self._cancelled(record, reason)

    def find(self, client_id: int, order_id: int) -> OrderRecord | None:
        """Return a client's order, or nothing."""
        return self.records.get((client_id, order_id))

    def open(self, client_id: int | None = None) -> Iterator[OrderRecord]:
        """Yield the open orders, of one client or of all."""
        return (
            record
            for record in tuple(self.records.values())
            if not record.is_done and client_id in (None, record.client_id)
        )

    def completed(self) -> Iterator[OrderRecord]:
        """Yield the orders that were filled or cancelled."""
        return (record for record in self.records.values() if record.completed_ns)

    # ---- what the market does ---------------------------------------------------------------------------------

    def on_quote(self, quote: Quote) -> None:
        """Meet the open orders with a quote."""
        self._take(self.exchange.on_quote(quote))

    def _submit(self, record: OrderRecord) -> None:
        # The exchange counts from zero for every order it is given: an order that changed its type comes with the rest.
        self._sent += 1
        record.filled_before = record.filled
        at_exchange = msgspec.structs.replace(record.order, id=str(self._sent), quantity=record.remaining)
        record.order = msgspec.structs.replace(record.order, id=at_exchange.id)
        self._working[at_exchange.id] = record
        events = self.exchange.place(at_exchange, self._now_ns())
        self._take(events)
        if not record.is_done and not record.filled and record.why_held:
            self._show(record)

    def _take(self, events: list[VenueEvent]) -> None:
        for index, event in enumerate(events):
            match event:
                case Fill():
                    charge = events[index + 1]
                    assert isinstance(charge, Commission)  # noqa: S101 - what the exchange promises
                    self._executed(self._working[event.order_id], event, charge.amount)
                case OrderReport(status=OrderStatus.CANCELLED):
                    self._cancelled(self._working[event.order_id], event.reason)
                case OrderReport(status=OrderStatus.EXPIRED):
                    self._cancelled(self._working[event.order_id], event.reason)
                case OrderReport(status=OrderStatus.REJECTED):
                    self._reject(self._working[event.order_id], f"Order rejected - reason:{event.reason}")
                case OrderReport(status=OrderStatus.WORKING):
                    self._rests(self._working[event.order_id])

    def _rests(self, record: OrderRecord) -> None:
        """Show a limit order, or a stop-limit whose stop was reached, as Submitted."""
        now = self.exchange.order(record.order.id)
        if now is None or now.limit_price is None or now.filled or record.status == "Submitted":
            return
        record.status, record.why_held = "Submitted", ""
        if now.is_open:
            self._show(record)

    def _executed(self, record: OrderRecord, fill: Fill, commission: float) -> None:
        total = record.filled + fill.quantity
        record.average_price = (record.average_price * record.filled + fill.price * fill.quantity) / total
        record.filled, record.last_price = total, fill.price
        realized = self.ledger.book(record.contract, fill, commission)
        execution = Execution(
            id=f"{self._run}.{fill.execution_id}.01",
            record=record,
            fill=fill,
            cumulative=total,
            average_price=record.average_price,
            commission=commission,
            realized=realized,
        )
        self.executions.append(execution)
        record.why_held = ""
        record.status = "Submitted"
        if record.remaining <= record.order.quantity * 1e-9:
            self._finish(record, "Filled", f"Filled Size: {record.filled:g}")
        self._audience.execution(execution)
        self._show(record)
        self._audience.commission(execution)
        self._audience.account(record.contract)

    def _cancelled(self, record: OrderRecord, reason: str) -> None:
        by = "Trader" if not reason else "System:" + reason
        self._finish(record, "Cancelled", f"Cancelled by {by}")
        self._audience.status(record)
        self._audience.error(record.client_id, record.order_id, 202, f"Order Canceled - reason:{reason}")

    def _reject(self, record: OrderRecord, text: str) -> None:
        """Refuse an order: error 201, then the order as Inactive (reported)."""
        record.status = "Inactive"
        self._working.pop(record.order.id, None)
        self._audience.error(record.client_id, record.order_id, 201, text)
        self._show(record)

    def _finish(self, record: OrderRecord, status: str, completed_status: str) -> None:
        record.status, record.completed_status = status, completed_status
        record.why_held, record.completed_ns = "", self._now_ns()
        self._working.pop(record.order.id, None)

    def _show(self, record: OrderRecord) -> None:
        self._audience.order(record)
        self._audience.status(record)

    def _objection(self, record: OrderRecord) -> str:
        if self.refuse_next is not None:
            reason, self.refuse_next = self.refuse_next, None
            return f"Order rejected - reason:{reason}"
        before = self.ledger.margin()
        after = self.ledger.margin(self.as_filled(record))
        if after.required > max(before.required, after.equity):
            return NOT_ENOUGH.format(equity=after.equity, required=after.required, currency=self.ledger.currency)
        return ""

    def commission_of(self, record: OrderRecord) -> float:
        """Return what all of an order would cost if it were filled now."""
        contract, side, quantity, price = self.as_filled(record)
        value = quantity * price * contract.instrument.multiplier
        return self._commissions.charge(contract.instrument, side=side, quantity=quantity, value=value)

    def as_filled(self, record: OrderRecord) -> tuple[ContractData, Side, float, float]:
        """Return an order as if it were filled now: at its own price, or at the market's."""
        order = record.order
        price = order.limit_price or order.stop_price
        quote = self.exchange.quote(record.contract.id)
        if price is None and quote is not None:
            price = quote.ask if order.side is Side.BUY else quote.bid
        return record.contract, order.side, order.quantity, price or 0.0
