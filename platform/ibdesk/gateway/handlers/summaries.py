"""Account summaries: chosen figures of all accounts under a request id."""

from __future__ import annotations

from collections.abc import Mapping

from ibdesk.gateway.account.accounts import Accounts
from ibdesk.gateway.account.figures import summary
from ibdesk.gateway.account.ledger import AccountLedger
from ibdesk.gateway.handlers.portfolio import UPDATE_SECONDS
from ibdesk.gateway.protocol.codec import Fields
from ibdesk.gateway.refusal import failed, invalid
from ibdesk.gateway.schedule import Schedule, ScheduledAction
from ibdesk.gateway.session import RequestMethod, Session


class SummaryRequests:
    """The summary subscriptions of one session, at most `most` at once; `None` is no limit.

    A summary is repeated every three minutes, changed or not; a trade alone does not repeat it (documented).
    """

    def __init__(self, session: Session, accounts: Accounts, schedule: Schedule, *, most: int | None) -> None:
        self._session = session
        self._accounts = accounts
        self._schedule = schedule
        self._most = most
        self._repetitions: dict[int, ScheduledAction] = {}

    def methods(self) -> Mapping[str, RequestMethod]:
        """Return the method of each request, by message name."""
        return {"reqAccountSummary": self.begin, "cancelAccountSummary": self.cancel}

    def end_subscriptions(self) -> None:
        """End all subscriptions."""
        for repetition in self._repetitions.values():
            repetition.cancel()
        self._repetitions.clear()

    def begin(self, query: Fields) -> None:
        """Send every requested row, account by account, and the end."""
        request_id = query.required("reqId")
        if request_id in self._repetitions:
            raise failed("Duplicate ticker id")
        if self._most is not None and len(self._repetitions) >= self._most:
            raise failed("Maximum number of account summary requests exceeded")
        tags = tuple(tag.strip() for tag in query.text("tags").split(",") if tag.strip())
        if not tags:
            raise invalid("no tags were requested")
        ledgers = self._accounts.asked(query.text("groupName"))
        self._send(request_id, ledgers, tags)
        self._session.send("accountSummaryEnd", reqId=request_id)
        self._repeat(request_id, ledgers, tags)

    def _repeat(self, request_id: int, ledgers: list[AccountLedger], tags: tuple[str, ...]) -> None:
        def again() -> None:
            self._send(request_id, ledgers, tags)
            self._repeat(request_id, ledgers, tags)

        self._repetitions[request_id] = self._schedule.after(UPDATE_SECONDS, again)

    def _send(self, request_id: int, ledgers: list[AccountLedger], tags: tuple[str, ...]) -> None:
        for ledger in ledgers:
            for row in summary(ledger, tags):
                self._session.send(
                    "accountSummary",
                    reqId=request_id,
                    account=ledger.account,
                    tag=row.tag,
                    value=row.value,
                    currency=row.currency,
                )

    def cancel(self, query: Fields) -> None:
        """End a summary; an unknown one is ignored, as in TWS."""
        repetition = self._repetitions.pop(query.required("reqId"), None)
        if repetition is not None:
            repetition.cancel()
