"""The numbers of orders and requests at TWS."""

from __future__ import annotations

# TWS writes an unset order id as the largest integer.
_UNSET = 2_147_483_647


class Ids:
    """A counter that only goes up, whatever TWS proposes.

    Orders and requests share it, so that the number in an error message is unambiguous. TWS refuses an order number
    that is not above all earlier ones of the same client, and may propose a lower one after its nightly restart.
    """

    def __init__(self, first: int) -> None:
        self.next = first

    def take(self) -> int:
        """Return a number that was never used."""
        number = self.next
        self.next += 1
        return number

    def raise_to(self, number: int) -> None:
        """Raise the counter to TWS's proposal; a lower one changes nothing."""
        if number < _UNSET:
            self.next = max(self.next, number)
