"""Profit and loss of an account, and of one position in it, every second."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ibdesk.gateway.account.accounts import Accounts
from ibdesk.gateway.account.ledger import AccountLedger
from ibdesk.gateway.protocol.codec import Fields
from ibdesk.gateway.protocol.fields import UNSET_NUMBER
from ibdesk.gateway.refusal import failed, unknown_ticker
from ibdesk.gateway.schedule import Schedule, ScheduledAction
from ibdesk.gateway.session import RequestMethod, Session

PNL_SECONDS = 1.0
"""The interval of profit reports, in clock seconds (documented)."""


class ProfitRequests:
    """The profit subscriptions of one session; an empty account is the main one."""

    def __init__(self, session: Session, accounts: Accounts, schedule: Schedule) -> None:
        self._session = session
        self._accounts = accounts
        self._schedule = schedule
        self._repetitions: dict[tuple[str, int], ScheduledAction] = {}

    def methods(self) -> Mapping[str, RequestMethod]:
        """Return the method of each request, by message name."""
        return {
            "reqPnL": self.of_account,
            "cancelPnL": lambda query: self._end("pnl", query.required("reqId")),
            "reqPnLSingle": self.of_position,
            "cancelPnLSingle": lambda query: self._end("pnlSingle", query.required("reqId")),
        }

    def end_subscriptions(self) -> None:
        """End all subscriptions."""
        for repetition in self._repetitions.values():
            repetition.cancel()
        self._repetitions.clear()

    def of_account(self, query: Fields) -> None:
        """Send an account's profit now and every second, in its base currency."""
        request_id, ledger = query.required("reqId"), self._ledger(query)

        def send() -> None:
            self._session.send(
                "pnl",
                reqId=request_id,
                dailyPnL=ledger.daily(),
                unrealizedPnL=ledger.total_unrealized(),
                realizedPnL=ledger.total_realized(),
            )

        self._begin(("pnl", request_id), send)

    def of_position(self, query: Fields) -> None:
        """Send the profit in one contract now and every second, in its currency.

        If the account never held it, the position is zero and the figures are unset (believed).
        """
        request_id, con_id, ledger = query.required("reqId"), query.required("conId"), self._ledger(query)

        def send() -> None:
            holding = next((held for held in ledger.holdings.values() if held.contract.con_id == con_id), None)
            if holding is None:
                unknown = {"unrealizedPnL": UNSET_NUMBER, "realizedPnL": UNSET_NUMBER}
                self._session.send("pnlSingle", reqId=request_id, pos=0, dailyPnL=0.0, value=0.0, **unknown)
                return
            unrealized = ledger.unrealized(holding)
            self._session.send(
                "pnlSingle",
                reqId=request_id,
                pos=holding.position.quantity,
                dailyPnL=ledger.daily_of(holding),
                unrealizedPnL=unrealized,
                realizedPnL=holding.position.realized_pnl,
                value=ledger.value(holding),
            )

        self._begin(("pnlSingle", request_id), send)

    def _ledger(self, query: Fields) -> AccountLedger:
        account = query.text("account")
        return self._accounts.named(account) if account else self._accounts.main

    def _begin(self, key: tuple[str, int], send: Callable[[], None]) -> None:
        if key in self._repetitions:
            raise failed("Duplicate ticker id")
        send()
        self._repeat(key, send)

    def _repeat(self, key: tuple[str, int], send: Callable[[], None]) -> None:
        def again() -> None:
            send()
            self._repeat(key, send)

        # On a fast clock, one report per wall-clock second is enough for a reader.
        seconds = PNL_SECONDS * max(1.0, self._schedule.clock.speed)
        self._repetitions[key] = self._schedule.after(seconds, again)

    def _end(self, kind: str, request_id: int) -> None:
        repetition = self._repetitions.pop((kind, request_id), None)
        if repetition is None:
            raise unknown_ticker(request_id)
        repetition.cancel()
