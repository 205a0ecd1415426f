"""Answers about the account: summaries, updates, positions, profit and loss."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ibdesk.gateway.account.ledger import Holding, Ledger
from ibdesk.gateway.protocol.codec import Fields
from ibdesk.gateway.protocol.fields import UNSET_NUMBER
from ibdesk.gateway.refusal import failed, invalid, unknown_ticker
from ibdesk.gateway.schedule import Appointment, Schedule
from ibdesk.gateway.session import Handler, Session

# How often, in clock seconds, TWS repeats account figures without a trade, and profit and loss (documented).
UPDATE_SECONDS = 180.0
PNL_SECONDS = 1.0
MAX_SUMMARIES = 2
_LEDGER_TAGS = (
    "CashBalance",
    "TotalCashBalance",
    "StockMarketValue",
    "RealizedPnL",
    "UnrealizedPnL",
    "ExchangeRate",
)


class Portfolio:
    """The account subscriptions of one session. After a trade `changed` brings them up to date at once."""

    def __init__(self, session: Session, ledger: Ledger, schedule: Schedule, clock_text: Callable[[], str]) -> None:
        self._session = session
        self._ledger = ledger
        self._schedule = schedule
        self._clock_text = clock_text
        self._timers: dict[object, Appointment] = {}
        self._summaries: dict[int, tuple[str, ...]] = {}
        self._multi: set[int] = set()
        self._position_multi: set[int] = set()
        self._wants_updates = False
        self._wants_positions = False

    def handlers(self) -> Mapping[str, Handler]:
        """Return what it answers."""
        return {
            "reqAccountUpdates": self.account_updates,
            "reqAccountSummary": self.account_summary,
            "cancelAccountSummary": self.cancel_summary,
            "reqAccountUpdatesMulti": self.account_updates_multi,
            "cancelAccountUpdatesMulti": self.cancel_updates_multi,
            "reqPositions": self.positions,
            "cancelPositions": self.cancel_positions,
            "reqPositionsMulti": self.positions_multi,
            "cancelPositionsMulti": self.cancel_positions_multi,
            "reqPnL": self.pnl,
            "cancelPnL": self.cancel_pnl,
            "reqPnLSingle": self.pnl_single,
            "cancelPnLSingle": self.cancel_pnl_single,
        }

    def close(self) -> None:
        """End all subscriptions."""
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        self._wants_updates = self._wants_positions = False
        self._summaries.clear()
        self._multi.clear()
        self._position_multi.clear()

    def changed(self, instrument: str) -> None:
        """Tell the session's subscriptions that a position and with it the account has changed."""
        holding = self._ledger.holdings[instrument]
        if self._wants_positions:
            self._send_position(holding)
        if self._wants_updates:
            self._send_item(holding)
            self._send_figures()
        for request_id in self._position_multi:
            self._send_position_multi(request_id, holding)
        for request_id in self._multi:
            self._send_multi(request_id)

    # ---- updates and summaries --------------------------------------------------------------------------------

    def account_updates(self, query: Fields) -> None:
        """Send figures, holdings and the end; then again every three minutes until cancelled."""
        self._check_account(query.text("acctCode"))
        self._stop("updates")
        self._wants_updates = query.flag("subscribe")
        if self._wants_updates:
            self._send_all()
            self._session.send("accountDownloadEnd", account=self._ledger.account)
            self._repeat("updates", UPDATE_SECONDS, self._send_all)

    def _send_all(self) -> None:
        for holding in self._ledger.held():
            self._send_item(holding)
        self._send_figures()

    def _send_figures(self) -> None:
        for tag, value, currency in self._ledger.figures():
            self._session.send("accountValue", key=tag, value=value, currency=currency, account=self._ledger.account)
        self._session.send("accountUpdateTime", time=self._clock_text())

    def _send_item(self, holding: Holding) -> None:
        contract, position = holding.contract, holding.position
        self._session.send(
            "portfolioValue",
            **{**contract.wire(), "strike": 0, "right": "0"},
            position=position.quantity,
            marketPrice=self._ledger.price(holding),
            marketValue=self._ledger.value(holding),
            averageCost=position.average_price * position.multiplier,
            unrealizedPNL=self._ledger.unrealized(holding),
            realizedPNL=position.realized_pnl,
            account=self._ledger.account,
        )

    def account_summary(self, query: Fields) -> None:
        """Send every tag that was asked for and the end; then again every three minutes until cancelled."""
        request_id = query.required("reqId")
        if request_id in self._summaries:
            raise failed("Duplicate ticker id")
        if len(self._summaries) >= MAX_SUMMARIES:
            raise failed("Maximum number of account summary requests exceeded")
        tags = tuple(tag.strip() for tag in query.text("tags").split(",") if tag.strip())
        if not tags:
            raise invalid("no tags are asked for")
        self._summaries[request_id] = tags
        self._send_summary(request_id)
        self._session.send("accountSummaryEnd", reqId=request_id)
        self._repeat(("summary", request_id), UPDATE_SECONDS, lambda: self._send_summary(request_id))

    def _send_summary(self, request_id: int) -> None:
        tags = self._summaries[request_id]
        wants_ledger = any(tag.startswith("$LEDGER") for tag in tags)
        for tag, value, currency in self._ledger.figures():
            if tag in tags or (wants_ledger and tag in _LEDGER_TAGS):
                self._session.send(
                    "accountSummary",
                    reqId=request_id,
                    account=self._ledger.account,
                    tag=tag,
                    value=value,
                    currency=currency,
                )

    def cancel_summary(self, query: Fields) -> None:
        """End a summary; one that is not there is passed over, as TWS does."""
        request_id = query.required("reqId")
        self._summaries.pop(request_id, None)
        self._stop(("summary", request_id))

    def account_updates_multi(self, query: Fields) -> None:
        """Send the figures under a request id, and the end; then again after trades."""
        self._check_account(query.text("account"))
        request_id = query.required("reqId")
        self._send_multi(request_id)
        self._session.send("accountUpdateMultiEnd", reqId=request_id)
        self._multi.add(request_id)

    def _send_multi(self, request_id: int) -> None:
        for tag, value, currency in self._ledger.figures():
            self._session.send(
                "accountUpdateMulti",
                reqId=request_id,
                account=self._ledger.account,
                key=tag,
                value=value,
                currency=currency,
            )

    def cancel_updates_multi(self, query: Fields) -> None:
        """End such a subscription."""
        self._multi.discard(query.required("reqId"))

    # ---- positions --------------------------------------------------------------------------------------------

    def positions(self, _query: Fields) -> None:
        """Send all positions and the end; then each that changes until cancelled."""
        for holding in self._ledger.held():
            self._send_position(holding)
        self._session.send("positionEnd")
        self._wants_positions = True

    def _send_position(self, holding: Holding) -> None:
        contract, position = holding.contract, holding.position
        self._session.send(
            "position",
            **{**contract.wire(exchange=contract.primary_exchange), "strike": 0.0},
            account=self._ledger.account,
            position=position.quantity,
            avgCost=position.average_price * position.multiplier,
        )

    def cancel_positions(self, _query: Fields) -> None:
        """Send changes of positions no more."""
        self._wants_positions = False

    def positions_multi(self, query: Fields) -> None:
        """Send all positions under a request id, and the end; then each that changes."""
        self._check_account(query.text("account"))
        request_id = query.required("reqId")
        for holding in self._ledger.held():
            self._send_position_multi(request_id, holding)
        self._session.send("positionMultiEnd", reqId=request_id)
        self._position_multi.add(request_id)

    def _send_position_multi(self, request_id: int, holding: Holding) -> None:
        contract, position = holding.contract, holding.position
        self._session.send(
            "positionMulti",
            **{**contract.wire(exchange=contract.primary_exchange), "strike": 0.0},
            reqId=request_id,
            account=self._ledger.account,
            position=position.quantity,
            avgCost=position.average_price * position.multiplier,
        )

    def cancel_positions_multi(self, query: Fields) -> None:
        """End such a subscription."""
        self._position_multi.discard(query.required("reqId"))

    # ---- profit and loss --------------------------------------------------------------------------------------

    def pnl(self, query: Fields) -> None:
        """Send the account's profit now and every second."""
        self._check_account(query.text("account"))
        request_id = query.required("reqId")

        def send() -> None:
            self._session.send(
                "pnl",
                reqId=request_id,
                dailyPnL=self._ledger.daily(),
                unrealizedPnL=sum(map(self._ledger.unrealized, self._ledger.held())),
                realizedPnL=self._ledger.realized(),
            )

        self._begin_pnl(("pnl", request_id), send)

    def cancel_pnl(self, query: Fields) -> None:
        """End a profit subscription."""
        self._end_pnl("pnl", query.required("reqId"))

    def pnl_single(self, query: Fields) -> None:
        """Send the profit in one contract now and every second; zeros while nothing is held in it."""
        self._check_account(query.text("account"))
        request_id, con_id = query.required("reqId"), query.required("conId")

        def send() -> None:
            holding = next((held for held in self._ledger.holdings.values() if held.contract.con_id == con_id), None)
            if holding is None:
                unknown = {"unrealizedPnL": UNSET_NUMBER, "realizedPnL": UNSET_NUMBER}
                self._session.send("pnlSingle", reqId=request_id, pos=0, dailyPnL=0.0, value=0.0, **unknown)
                return
            unrealized = self._ledger.unrealized(holding)
            self._session.send(
                "pnlSingle",
                reqId=request_id,
                pos=holding.position.quantity,
                dailyPnL=unrealized + holding.position.realized_pnl,
                unrealizedPnL=unrealized,
                realizedPnL=holding.position.realized_pnl,
                value=self._ledger.value(holding),
            )

        self._begin_pnl(("pnlSingle", request_id), send)

    def cancel_pnl_single(self, query: Fields) -> None:
        """End such a subscription."""
        self._end_pnl("pnlSingle", query.required("reqId"))

    def _begin_pnl(self, key: tuple[str, int], send: Callable[[], None]) -> None:
        if key in self._timers:
            raise failed("Duplicate ticker id")
        send()
        # On a fast clock once a second of the wall is enough for a reader.
        self._repeat(key, PNL_SECONDS * max(1.0, self._schedule.clock.speed), send)

    def _end_pnl(self, kind: str, request_id: int) -> None:
        if (kind, request_id) not in self._timers:
            raise unknown_ticker(request_id)
        self._stop((kind, request_id))

    def _repeat(self, key: object, seconds: float, action: Callable[[], None]) -> None:
        def again() -> None:
            action()
            self._repeat(key, seconds, action)

        self._timers[key] = self._schedule.after(seconds, again)

    def _stop(self, key: object) -> None:
        timer = self._timers.pop(key, None)
        if timer is not None:
            timer.cancel()

    def _check_account(self, account: str) -> None:
        if account not in ("", "All", self._ledger.account):
            raise invalid(f"Invalid account code {account!r}")
