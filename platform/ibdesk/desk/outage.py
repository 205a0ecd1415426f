"""A fence that detects that this process was stopped, or that its machine slept.

In that time another process may have claimed the account. So before anything is sent after a gap, and before each
connection to TWS, the fence checks the claim.
"""

from __future__ import annotations

from collections.abc import Callable

from ibdesk.errors import IbdeskError
from ibdesk.store.account_lock import AccountLock, SupersededError
from ibdesk.store.lease import awake_or_asleep_seconds
from ibdesk.tws import Fence

# A running desk calls `look` more often than this.
_GAP_SECONDS = 1.0


class OutageFence:
    """A `Fence` that checks the claim of the account, and `inner` where engines are elected."""

    def __init__(
        self,
        inner: Fence | None,
        *,
        now: Callable[[], float] = awake_or_asleep_seconds,
        gap_seconds: float = _GAP_SECONDS,
    ) -> None:
        self._inner, self._now, self._gap_seconds = inner, now, gap_seconds
        self._lock: AccountLock | None = None
        self._seen_at = now()
        self._superseded: SupersededError | None = None

    @property
    def leads(self) -> bool:
        """Whether this process is certain that it is elected to trade."""
        return self._inner is not None and self._inner.may_connect()

    def guard(self, lock: AccountLock) -> None:
        """Check and keep a claim from now on."""
        self._lock, self._seen_at = lock, self._now()

    def look(self) -> None:
        """Note that this process is running.

        Raises:
            SupersededError: If another process claimed the account while this one was stopped.
        """
        if not self._is_mine():
            raise self.why_not()
        if self._lock is not None:
            self._lock.keep()

    def may_send(self) -> bool:
        """Return whether order bytes may leave."""
        return self._is_mine() and (self._inner is None or self._inner.may_send())

    def may_connect(self) -> bool:
        """Return whether a connection to TWS may be opened."""
        return self._is_mine(always=True) and (self._inner is None or self._inner.may_connect())

    def why_not(self) -> IbdeskError:
        """Return the error to end with."""
        if self._superseded is not None:
            return self._superseded
        return IbdeskError("nothing stands in the way") if self._inner is None else self._inner.why_not()

    def _is_mine(self, *, always: bool = False) -> bool:
        now = self._now()
        gap, self._seen_at = now - self._seen_at, now
        if self._lock is None or self._superseded is not None:
            return self._superseded is None
        if (always or gap > self._gap_seconds) and not self._lock.is_mine():
            self._superseded = SupersededError(self._lock.account, str(self._lock.state_folder), gap)
        return self._superseded is None
