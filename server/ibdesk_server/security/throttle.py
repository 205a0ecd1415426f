"""Protection against password guessing: after some failures, each further try has to wait longer."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

from ibdesk_server.security.directory import Directory
from ibdesk_server.security.tickets import digest_of

_FREE_FAILURES = 3
# Short for a user name, so that an attacker cannot lock a user out for long.
_LONGEST_USER_SECONDS = 30.0
_LONGEST_ADDRESS_SECONDS = 900.0
_FORGOTTEN_NS = 3_600 * 10**9
_MOST_SUBJECTS = 20_000


class Throttle:
    """Counts failed tries by user name, existing or not, and by address.

    A try counts as failed from its start, so that many simultaneous tries are limited too.
    """

    def __init__(self, directory: Directory, *, clock: Callable[[], int] = time.time_ns) -> None:
        self._directory, self._clock = directory, clock

    def begin(self, user: str, address: str) -> float:
        """Count a try and return 0; or, if it comes too early, return the seconds to wait without counting it."""
        now = self._clock()
        with self._directory.change() as connection:
            subjects = _subjects(user, address)
            kept = {
                subject: (failures, at_ns)
                for subject, _ in subjects
                for failures, at_ns in connection.execute(
                    "SELECT failures, at_ns FROM attempts WHERE subject = ? AND at_ns > ?",
                    (subject, now - _FORGOTTEN_NS),
                )
            }
            wait_ns = max(
                (
                    at_ns + _delay_ns(failures, longest) - now
                    for subject, longest in subjects
                    for failures, at_ns in [kept.get(subject, (0, now))]
                ),
                default=0,
            )
            if wait_ns > 0:
                return math.ceil(wait_ns / 1e9)
            self._make_room(connection.execute, now)
            for subject, _ in subjects:
                failures = kept.get(subject, (0, 0))[0] + 1
                connection.execute("INSERT OR REPLACE INTO attempts VALUES (?, ?, ?)", (subject, failures, now))
        return 0.0

    def succeeded(self, user: str, address: str) -> None:
        """Remove a try with the right password from the count."""
        (user_subject, _), (address_subject, _) = _subjects(user, address)
        with self._directory.change() as connection:
            connection.execute("DELETE FROM attempts WHERE subject = ?", (user_subject,))
            # An attacker must not clear the address's count by logging in with an own account in between.
            connection.execute("UPDATE attempts SET failures = failures - 1 WHERE subject = ?", (address_subject,))

    def _make_room(self, execute: Callable[..., object], now: int) -> None:
        execute("DELETE FROM attempts WHERE at_ns <= ?", (now - _FORGOTTEN_NS,))
        execute(
            "DELETE FROM attempts WHERE subject IN "
            "(SELECT subject FROM attempts ORDER BY at_ns DESC LIMIT -1 OFFSET ?)",
            (_MOST_SUBJECTS,),
        )


def _subjects(user: str, address: str) -> list[tuple[str, float]]:
    # A password may have been typed as the name, so only the hash is stored.
    return [
        (f"user {digest_of(user).hex()}", _LONGEST_USER_SECONDS),
        (f"address {address}", _LONGEST_ADDRESS_SECONDS),
    ]


def _delay_ns(failures: int, longest_seconds: float) -> int:
    if failures < _FREE_FAILURES:
        return 0
    return int(min(2.0 ** min(failures - _FREE_FAILURES, 30), longest_seconds) * 1e9)
