"""The limits of a client's requests as in TWS, each with a switch, on the gateway's clock.

* 50 messages a second from one client, orders included: error 100, and the message is ignored. In the third second with
  too many the socket is closed (limit documented, text and closing reported; the third second is believed). For a
  client that connects with the option ``+PACEAPI``, further messages wait for the next second instead (reported). A
  second begins with the first message after the previous second.
* History: at most 60 requests in ten minutes; none equal to one of the last 15 seconds; and for bars of 30 seconds or
  less fewer than six for one contract, venue and kind within two seconds. BID_ASK counts twice. Error 162 (limits
  documented, text reported). IB counts by user, so all clients of a gateway share these.
* 100 market-data lines (error 101, documented), 3 tick-by-tick subscriptions and none within 15 seconds of another for
  the same contract (error 10190; limits documented, code believed), 2 account summaries (error 322, captured). They are
  counted by client here (a choice): IB counts them by user.
"""

from __future__ import annotations

import enum
from collections import deque
from collections.abc import Callable, Hashable

import msgspec

from ibdesk.clock import SECOND
from ibdesk.gateway.protocol.codec import Fields
from ibdesk.gateway.refusal import RefusedError, no_history

TOO_MANY_MESSAGES = "Max rate of messages per second has been exceeded:max={limit} rec={received} ({violation})"
PACING_VIOLATION = "Historical data request pacing violation"
SHORT_BAR_SECONDS = 30.0
SHORT_BARS_WITHIN_SECONDS = 2.0
HISTORY_WITHIN_SECONDS = 600.0


class Pacing(msgspec.Struct, frozen=True, kw_only=True):
    """The limits; `None` is no limit.

    `violations` is the number of seconds with too many messages after which a client's socket is closed. The others are
    numbers of requests, or seconds if their names say so.
    """

    messages_per_second: int | None = 50
    violations: int | None = 3
    history_requests: int | None = 60
    identical_history_seconds: float | None = 15.0
    short_bar_requests: int | None = 6
    market_data_lines: int | None = 100
    tick_by_tick: int | None = 3
    tick_by_tick_seconds: float | None = 15.0
    account_summaries: int | None = 2

    @staticmethod
    def off() -> Pacing:
        """Return no limits, except that of account summaries, which TWS itself has."""
        return Pacing(
            messages_per_second=None,
            violations=None,
            history_requests=None,
            identical_history_seconds=None,
            short_bar_requests=None,
            market_data_lines=None,
            tick_by_tick=None,
            tick_by_tick_seconds=None,
        )


class MessageVerdict(enum.Enum):
    """The treatment of a message."""

    TAKEN = "taken"
    """It is answered."""
    WAITS = "waits"
    """It waits, because the client asked to be delayed and this second is full."""
    REFUSED = "refused"
    """It is the first of too many in this second, and is refused with an error."""
    DROPPED = "dropped"
    """It is a further one, and is ignored."""
    LAST = "last"
    """There were too many too often: it is refused with an error, and the socket is closed."""


class MessageRate:
    """The messages of one client, second by second."""

    def __init__(self, pacing: Pacing, now_ns: Callable[[], int]) -> None:
        self._limit = pacing.messages_per_second
        self._allowed = pacing.violations
        self._now_ns = now_ns
        self._began_ns = -SECOND
        self._received = 0
        self._violations = 0

    def judge(self, *, waits: bool) -> MessageVerdict:
        """Count a message that arrived now; `waits` means that the client wants delays instead of refusals."""
        if self._limit is None:
            return MessageVerdict.TAKEN
        now_ns = self._now_ns()
        if now_ns - self._began_ns >= SECOND:
            self._began_ns, self._received = now_ns, 0
        if waits and self._received >= self._limit:
            return MessageVerdict.WAITS
        self._received += 1
        if self._received <= self._limit:
            return MessageVerdict.TAKEN
        if self._received > self._limit + 1:
            return MessageVerdict.DROPPED
        self._violations += 1
        is_last = self._allowed is not None and self._violations >= self._allowed
        return MessageVerdict.LAST if is_last else MessageVerdict.REFUSED

    @property
    def free_ns(self) -> int:
        """Return when the next second begins, ns UTC."""
        return self._began_ns + SECOND

    def complaint(self) -> str:
        """Return the text of error 100."""
        return TOO_MANY_MESSAGES.format(limit=self._limit, received=self._received, violation=self._violations)


class HistoryRate:
    """The rate of history requests of all clients."""

    def __init__(self, pacing: Pacing, now_ns: Callable[[], int]) -> None:
        self._pacing = pacing
        self._now_ns = now_ns
        self._all: deque[int] = deque()
        self._last: dict[Hashable, int] = {}
        self._short: dict[Hashable, deque[int]] = {}

    def ask(self, query: Fields, instrument: str, *, interval_ns: int) -> None:
        """Count a request made now, for bars of this length or for ticks (zero).

        Raises:
            RefusedError: If it is one too many (162).
        """
        what = query.text("whatToShow").upper()
        weight = 2 if what == "BID_ASK" else 1
        request = (query.name, instrument, *(text for name, text in query.texts.items() if _tells_apart(name, text)))
        of = (instrument, query.text("exchange"), what)
        short = interval_ns <= SHORT_BAR_SECONDS * SECOND
        now_ns, pacing = self._now_ns(), self._pacing
        _forget(self._all, now_ns, HISTORY_WITHIN_SECONDS)
        if pacing.history_requests is not None and len(self._all) + weight > pacing.history_requests:
            raise no_history(PACING_VIOLATION)
        last_ns, same_within = self._last.get(request), pacing.identical_history_seconds
        if last_ns is not None and same_within is not None and now_ns - last_ns < same_within * SECOND:
            raise no_history(PACING_VIOLATION)
        if short and pacing.short_bar_requests is not None:
            recent = self._short.setdefault(of, deque())
            _forget(recent, now_ns, SHORT_BARS_WITHIN_SECONDS)
            if len(recent) + weight >= pacing.short_bar_requests:
                raise no_history(PACING_VIOLATION)
            recent.extend([now_ns] * weight)
        self._all.extend([now_ns] * weight)
        self._last[request] = now_ns


def _tells_apart(name: str, text: object) -> bool:
    """Return whether a field distinguishes requests: all but the request id do."""
    return name != "reqId" and isinstance(text, str)


def _forget(times: deque[int], now_ns: int, seconds: float) -> None:
    while times and now_ns - times[0] >= seconds * SECOND:
        times.popleft()


class Lines:
    """The market-data subscriptions of one client."""

    def __init__(self, pacing: Pacing, now_ns: Callable[[], int]) -> None:
        self._pacing = pacing
        self._now_ns = now_ns
        self._tick_by_tick: dict[str, int] = {}

    def quotes(self, subscribed: int) -> None:
        """Check that one more subscription may be added to the `subscribed` ones.

        Raises:
            RefusedError: If not (101).
        """
        limit = self._pacing.market_data_lines
        if limit is not None and subscribed >= limit:
            raise RefusedError(101, "Max number of tickers has been reached.")

    def ticks(self, instrument: str, subscribed: int) -> None:
        """Check that one more tick-by-tick subscription may be added, and count it.

        Raises:
            RefusedError: If not, or not yet for this instrument (10190).
        """
        limit, apart = self._pacing.tick_by_tick, self._pacing.tick_by_tick_seconds
        last_ns, now_ns = self._tick_by_tick.get(instrument), self._now_ns()
        too_soon = apart is not None and last_ns is not None and now_ns - last_ns < apart * SECOND
        if too_soon or (limit is not None and subscribed >= limit):
            raise RefusedError(10190, "Max number of tick-by-tick requests has been reached.")
        self._tick_by_tick[instrument] = now_ns


class RequestAllowance(msgspec.Struct, frozen=True):
    """The limits of one session, including those that all sessions share."""

    messages: MessageRate
    lines: Lines
    history: HistoryRate
    account_summaries: int | None


class Allowances:
    """Creates the allowance of each session."""

    def __init__(self, pacing: Pacing, now_ns: Callable[[], int]) -> None:
        self._pacing = pacing
        self._now_ns = now_ns
        self._history = HistoryRate(pacing, now_ns)

    def for_session(self) -> RequestAllowance:
        """Return the allowance of a new session."""
        pacing, now_ns = self._pacing, self._now_ns
        return RequestAllowance(
            MessageRate(pacing, now_ns), Lines(pacing, now_ns), self._history, pacing.account_summaries
        )


def unlimited() -> RequestAllowance:
    """Return an allowance without limits."""
    return Allowances(Pacing.off(), lambda: 0).for_session()
