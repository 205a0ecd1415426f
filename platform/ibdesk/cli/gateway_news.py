"""The events of a gateway as lines: clients connecting and leaving, orders, fills."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from rich.text import Text

from ibdesk.cli.gateway_traffic import Traffic
from ibdesk.cli.screen import price, quantity
from ibdesk.gateway import Gateway
from ibdesk.gateway.venue.venue import OrderRecord
from ibdesk.model import moment

# Order types that their prices identify.
_TOLD_BY_PRICES = frozenset({"LMT", "STP", "STP LMT"})


class GatewayNews:
    """The events of a gateway since the last call: clients connecting and leaving, orders, fills."""

    def __init__(self, gateway: Gateway, traffic: Traffic) -> None:
        self._gateway = gateway
        self._traffic = traffic
        self._orders = self._executions = 0
        self._open: dict[tuple[int, int], str] = {}

    def lines(self) -> Iterator[Text]:
        """Yield a line for each new event."""
        visits = self._traffic.visits()
        yield from (self._dated(f"client {visit.client_id} connected", "bold") for visit in visits if visit.came)
        yield from self._new_orders()
        yield from self._fills()
        yield from self._ended()
        yield from (self._dated(f"client {visit.client_id} left", "bold") for visit in visits if not visit.came)

    def _new_orders(self) -> Iterator[Text]:
        records = self._gateway.venue.records
        for key, record in itertools.islice(records.items(), self._orders, None):
            self._open[key] = record.status
            yield self._dated(f"client {record.client_id} order {record.order_id}: {order_words(record)}")
        self._orders = len(records)

    def _fills(self) -> Iterator[Text]:
        executions = self._gateway.venue.executions
        for done in itertools.islice(executions, self._executions, None):
            verb = "bought" if done.fill.side.sign > 0 else "sold"
            text = f"{verb} {quantity(done.fill.quantity)} {done.fill.instrument} at {price(done.fill.price)}"
            record = done.record
            yield self._dated(f"client {record.client_id} order {record.order_id}: {text}", "green")
        self._executions = len(executions)

    def _ended(self) -> Iterator[Text]:
        """Yield a line for each order that ended without being filled."""
        for key in list(self._open):
            record = self._gateway.venue.records[key]
            if record.is_done:
                del self._open[key]
                if record.status != "Filled":
                    reason = f": {record.completed_status}" if record.completed_status else ""
                    yield self._dated(
                        f"client {record.client_id} order {record.order_id} {record.status}{reason}", "yellow"
                    )

    def _dated(self, text: str, style: str = "") -> Text:
        return Text.assemble((f"{moment(self._gateway.schedule.now_ns):%H:%M:%S}  ", "dim"), (text, style))


def order_words(record: OrderRecord) -> str:
    """Return an order's terms in words, as its client sent them."""
    asks = record.request
    kind = asks.text("orderType")
    prices = [
        f"{name} {price(figure)}"
        for name, figure in ((_auxiliary(kind), asks.number("auxPrice")), ("limit", asks.number("lmtPrice")))
        if figure
    ]
    terms = [*([] if kind in _TOLD_BY_PRICES else [kind]), *prices] if kind != "MKT" else ["at the market"]
    side, tif = asks.text("action").lower(), asks.text("tif").lower() or "day"
    return f"{side} {quantity(record.order.quantity)} {record.contract.id} {', '.join(terms)}, {tif}"


def _auxiliary(kind: str) -> str:
    return "stop" if kind.startswith("STP") else "trigger" if kind in ("MIT", "LIT") else "by"
