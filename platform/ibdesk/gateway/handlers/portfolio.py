"""Account updates and positions of one session, also under request ids."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ibdesk.gateway.account.accounts import Accounts
from ibdesk.gateway.account.figures import account_figures, figures, ledger_figures
from ibdesk.gateway.account.ledger import AccountLedger, Holding
from ibdesk.gateway.protocol.codec import Fields, Value
from ibdesk.gateway.schedule import Schedule, ScheduledAction
from ibdesk.gateway.session import RequestMethod, Session

UPDATE_SECONDS = 180.0
"""How often, in clock seconds, TWS repeats account figures without a trade (documented)."""
OTHER_ACCOUNT = "New account data requested from TWS. API client has been unsubscribed from account data."


class PortfolioRequests:
    """The account and position subscriptions of one session; `changed` updates them after a trade."""

    def __init__(self, session: Session, accounts: Accounts, schedule: Schedule, clock_text: Callable[[], str]) -> None:
        self._session = session
        self._accounts = accounts
        self._schedule = schedule
        self._clock_text = clock_text
        # The account with subscribed updates, and when they are repeated. A client has one at a time.
        self._updates: AccountLedger | None = None
        self._repetition: ScheduledAction | None = None
        self._wants_positions = False
        # Subscriptions by request id: of figures, with whether only the ledger is wanted, and of positions.
        self._multi: dict[int, tuple[list[AccountLedger], bool]] = {}
        self._position_multi: dict[int, list[AccountLedger]] = {}

    def methods(self) -> Mapping[str, RequestMethod]:
        """Return the method of each request, by message name."""
        return {
            "reqAccountUpdates": self.account_updates,
            "reqAccountUpdatesMulti": self.account_updates_multi,
            "cancelAccountUpdatesMulti": self.cancel_updates_multi,
            "reqPositions": self.positions,
            "cancelPositions": self.cancel_positions,
            "reqPositionsMulti": self.positions_multi,
            "cancelPositionsMulti": self.cancel_positions_multi,
        }

    def end_subscriptions(self) -> None:
        """End all subscriptions."""
        self._end_updates()
        self._wants_positions = False
        self._multi.clear()
        self._position_multi.clear()

    def changed(self, account: str, instrument: str) -> None:
        """Report a changed position and its account to the session's subscriptions."""
        ledger = self._accounts.named(account)
        holding = ledger.holdings[instrument]
        if self._wants_positions:
            self._send_position(ledger, holding)
        if self._updates is ledger:
            self._send_item(ledger, holding)
            self._send_figures(ledger)
        for request_id, ledgers in self._position_multi.items():
            if ledger in ledgers:
                self._send_position_multi(request_id, ledger, holding)
        for request_id, (ledgers, ledger_only) in self._multi.items():
            if ledger in ledgers:
                self._send_multi(request_id, ledger, ledger_only=ledger_only)

    # ---- account updates --------------------------------------------------------------------------------------

    def account_updates(self, query: Fields) -> None:
        """Send figures, holdings and the end; then again every three minutes until cancelled.

        An empty account is the main one. Another account replaces the previous one, with warning 2100 (believed).
        """
        code = query.text("acctCode")
        ledger = self._accounts.named(code) if code else self._accounts.main
        before, wants = self._updates, query.flag("subscribe")
        self._end_updates()
        if not wants:
            return
        if before is not None and before is not ledger:
            self._session.error(-1, 2100, OTHER_ACCOUNT)
        self._updates = ledger
        self._send_all(ledger)
        self._session.send("accountDownloadEnd", account=ledger.account)
        self._repeat(ledger)

    def _repeat(self, ledger: AccountLedger) -> None:
        def again() -> None:
            self._send_all(ledger)
            self._repeat(ledger)

        self._repetition = self._schedule.after(UPDATE_SECONDS, again)

    def _end_updates(self) -> None:
        self._updates = None
        if self._repetition is not None:
            self._repetition.cancel()
            self._repetition = None

    def _send_all(self, ledger: AccountLedger) -> None:
        for holding in ledger.held():
            self._send_item(ledger, holding)
        self._send_figures(ledger)

    def _send_figures(self, ledger: AccountLedger) -> None:
        for row in figures(ledger):
            self._session.send(
                "accountValue", key=row.tag, value=row.value, currency=row.currency, account=ledger.account
            )
        self._session.send("accountUpdateTime", time=self._clock_text())

    def _send_item(self, ledger: AccountLedger, holding: Holding) -> None:
        contract, position = holding.contract, holding.position
        self._session.send(
            "portfolioValue",
            **{"strike": 0, **contract.wire(), "right": contract.wire()["right"] or "0"},
            position=position.quantity,
            marketPrice=ledger.price(holding),
            marketValue=ledger.value(holding),
            averageCost=position.average_price * position.multiplier,
            unrealizedPNL=ledger.unrealized(holding),
            realizedPNL=position.realized_pnl,
            account=ledger.account,
        )

    def account_updates_multi(self, query: Fields) -> None:
        """Send the figures of one account or all, under a request id, and the end; then again after trades.

        With `ledgerAndNLV` only the figures by currency and the net liquidation value.
        """
        ledgers, request_id = self._accounts.asked(query.text("account")), query.required("reqId")
        ledger_only = query.flag("ledgerAndNLV")
        for ledger in ledgers:
            self._send_multi(request_id, ledger, ledger_only=ledger_only)
        self._session.send("accountUpdateMultiEnd", reqId=request_id)
        self._multi[request_id] = ledgers, ledger_only

    def _send_multi(self, request_id: int, ledger: AccountLedger, *, ledger_only: bool) -> None:
        rows = figures(ledger)
        if ledger_only:
            rows = [row for row in account_figures(ledger) if row.tag == "NetLiquidation"]
            rows += ledger_figures(ledger)
        for row in rows:
            self._session.send(
                "accountUpdateMulti",
                reqId=request_id,
                account=ledger.account,
                key=row.tag,
                value=row.value,
                currency=row.currency,
            )

    def cancel_updates_multi(self, query: Fields) -> None:
        """End a subscription; an unknown one is ignored."""
        self._multi.pop(query.required("reqId"), None)

    # ---- positions --------------------------------------------------------------------------------------------

    def positions(self, _query: Fields) -> None:
        """Send the positions of all accounts and the end; then each change until cancelled."""
        for ledger in self._accounts:
            for holding in ledger.held():
                self._send_position(ledger, holding)
        self._session.send("positionEnd")
        self._wants_positions = True

    def _send_position(self, ledger: AccountLedger, holding: Holding) -> None:
        self._session.send("position", **position_row(ledger, holding))

    def cancel_positions(self, _query: Fields) -> None:
        """Stop sending changes of positions."""
        self._wants_positions = False

    def positions_multi(self, query: Fields) -> None:
        """Send the positions of one account or all, under a request id, and the end; then each change."""
        ledgers, request_id = self._accounts.asked(query.text("account")), query.required("reqId")
        for ledger in ledgers:
            for holding in ledger.held():
                self._send_position_multi(request_id, ledger, holding)
        self._session.send("positionMultiEnd", reqId=request_id)
        self._position_multi[request_id] = ledgers

    def _send_position_multi(self, request_id: int, ledger: AccountLedger, holding: Holding) -> None:
        self._session.send("positionMulti", reqId=request_id, **position_row(ledger, holding))

    def cancel_positions_multi(self, query: Fields) -> None:
        """End a subscription; an unknown one is ignored."""
        self._position_multi.pop(query.required("reqId"), None)


def position_row(ledger: AccountLedger, holding: Holding) -> dict[str, Value]:
    """Return the fields of a position message."""
    contract, position = holding.contract, holding.position
    return {
        "strike": 0.0,
        **contract.wire(exchange=contract.primary_exchange),
        "account": ledger.account,
        "position": position.quantity,
        "avgCost": position.average_price * position.multiplier,
    }
