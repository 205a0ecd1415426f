"""The promises about the guardian's orders, and about a desk whose account it has flattened."""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence

from ibdesk.simulation.excuses import Excuses
from ibdesk.simulation.guardian_process import GuardianProcess
from ibdesk.simulation.truth import Executed, Truth
from ibdesk.store.account_halts import accounts_folder

_DUST = 1e-9


class GuardianChecks:
    """Compares the guardian's actions and reports with the account."""

    def __init__(
        self,
        truth: Truth,
        symbols: Sequence[str],
        excuses: Excuses,
        *,
        report: Callable[[str, str], None],
        say: Callable[[str], None],
    ) -> None:
        self._truth, self._symbols, self._excuses = truth, symbols, excuses
        self._report, self._say = report, say
        # _finished: the last stop that a guardian reported as done; _seen: all of them, each with its seconds.
        self._finished, self._has_flattened = "", False
        self._seen: set[tuple[object, object]] = set()

    def after_turn(self, guardian: GuardianProcess) -> None:
        """Check the stops that a guardian reports as done."""
        finished = guardian.finished
        if not finished or (finished["id"], finished["seconds"]) in self._seen:
            return
        self._seen.add((finished["id"], finished["seconds"]))
        self._finished = str(finished["id"])
        self._say(f"guardian has finished {finished}")
        if not any(self._finished in path.read_text("utf-8") for path in accounts_folder().glob("*.halts.json")):
            self._report(
                "7: what the guardian stops is halted", f"{self._finished} is in no file of the account's halts"
            )
        self._has_flattened = finished["level"] == "flatten"
        if not self._has_flattened or self._excuses.outside_ns:
            return
        for symbol in self._symbols:
            if abs(self._truth.held(symbol)) > _DUST:
                self._report("guardian: flat means flat", f"{symbol}: {self._truth.held(symbol):g} are held")

    def desk_traded(self, executed: Executed, halts: Container[str]) -> None:
        """Check that a desk does not reopen what the guardian closed, while its halt is in force."""
        after = self._truth.held(executed.symbol)
        before = after - executed.quantity
        if self._finished in halts and self._has_flattened and abs(after) > abs(before) + _DUST:
            facts = f"{executed} took the account from {before:g} to {after:g} while {self._finished} stands"
            self._report("guardian: what it has closed stays closed", facts)

    def guardian_traded(self, executed: Executed) -> None:
        """Check that an order of the guardian has not crossed zero."""
        after = self._truth.held(executed.symbol)
        before = after - executed.quantity
        if before * after < -_DUST or abs(after) > abs(before) + _DUST:
            facts = f"{executed} took the account from {before:g} to {after:g}"
            self._report("guardian: never through zero", facts)
