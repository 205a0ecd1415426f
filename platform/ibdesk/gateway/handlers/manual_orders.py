"""Actions of a person at TWS itself: placing orders, which client 0 may bind, and changing or cancelling any order.

Until client 0 binds it, such an order has no owner: all clients find it among all open orders under order id 0, and no
client receives reports about it. Client 0 binds the existing ones by requesting its open orders, and future ones by
requesting automatic binding. They then have negative order ids, and client 0 may change and cancel them (documented).
Each is announced by an orderBound message (documented); the order of these messages is believed.
"""

from __future__ import annotations

from ibdesk.gateway.account.accounts import Accounts
from ibdesk.gateway.contracts.book import ContractBook
from ibdesk.gateway.handlers.order_terms import read_order, read_terms
from ibdesk.gateway.handlers.reference import the_contract
from ibdesk.gateway.protocol.codec import Fields, Scalar, text_of
from ibdesk.gateway.refusal import RefusedError
from ibdesk.gateway.venue.records import OrderRecord
from ibdesk.gateway.venue.venue import Venue


class TwsUserOrders:
    """Places, changes and cancels orders as a person at TWS does."""

    def __init__(self, venue: Venue, contracts: ContractBook, accounts: Accounts) -> None:
        self._venue = venue
        self._contracts = contracts
        self._accounts = accounts

    def place_order(self, terms: dict[str, Scalar]) -> OrderRecord:
        """Place an order; `terms` hold its contract and terms by the names of the placeOrder message.

        Raises:
            RefusedError: If the venue cannot take such an order.
        """
        given = {name: text_of(value) for name, value in terms.items()}
        request = Fields("placeOrder", {"exchange": "SMART", "currency": "USD", "transmit": "1", **given})
        contract = the_contract(self._contracts, request)
        record = OrderRecord(
            client_id=0,
            order_id=self._venue.next_manual_id(),
            permanent_id=self._venue.new_permanent_id(),
            contract=contract,
            request=request,
            terms=read_terms(request, contract, lambda _: None, self._venue.now_ns),
            order=read_order(request, contract, owner="0"),
            account=self._accounts.ordered(request.text("account")).account,
            is_bound=False,
        )
        self._venue.place_by_hand(record)
        return record

    def change_order(self, permanent_id: int, terms: dict[str, Scalar]) -> None:
        """Give any open order new terms, by the names of the placeOrder message.

        Raises:
            RefusedError: If there is no such open order (135), or the venue cannot make the change.
        """
        record = self._open(permanent_id)
        given = {name: text_of(value) for name, value in terms.items()}
        request = Fields("placeOrder", {**record.request.texts, **given})
        self._venue.modify_order(
            record,
            request,
            read_terms(request, record.contract, lambda _: None, self._venue.now_ns),
            read_order(request, record.contract, owner=str(record.client_id), is_change=True),
        )

    def cancel_order(self, permanent_id: int) -> None:
        """Cancel any open order.

        Raises:
            RefusedError: If there is no such open order (135).
        """
        self._venue.cancel_order(self._open(permanent_id))

    def _open(self, permanent_id: int) -> OrderRecord:
        for record in self._venue.open_orders():
            if record.permanent_id == permanent_id:
                return record
        raise RefusedError(135, f"Can't find an open order with permanent id {permanent_id}")
