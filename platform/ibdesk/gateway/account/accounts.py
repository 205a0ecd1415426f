"""All paper accounts of one gateway."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from ibdesk.errors import ConfigError
from ibdesk.gateway.account.ledger import AccountLedger
from ibdesk.gateway.account.paper_ids import checked_id
from ibdesk.gateway.account.rates import Rates
from ibdesk.gateway.refusal import RefusedError, invalid

EVERYBODY = "All"
"""The name of all accounts in a request (documented)."""


class Accounts:
    """The ledgers by account id. Each account begins with `cash`; the first is the main one.

    Raises:
        ConfigError: If an id is not that of a paper account, there is no id, or one is given twice.
    """

    def __init__(self, ids: Sequence[str], cash: float, price_of: Callable[[str], float | None]) -> None:
        self.rates = Rates(price_of)
        self._ledgers = {name: AccountLedger(checked_id(name), cash, price_of, self.rates) for name in ids}
        if len(self._ledgers) != len(ids) or not ids:
            raise ConfigError(
                f"gateway.accounts must name one or more different accounts, got {', '.join(ids) or 'none'}"
            )

    def __iter__(self) -> Iterator[AccountLedger]:
        return iter(self._ledgers.values())

    def __len__(self) -> int:
        return len(self._ledgers)

    @property
    def main(self) -> AccountLedger:
        """Return the first account."""
        return next(iter(self))

    @property
    def ids(self) -> str:
        """Return the ids in the format of managedAccounts."""
        return ",".join(self._ledgers)

    def begin_day(self) -> None:
        """Begin a day for all accounts: daily profit counts from here."""
        for ledger in self:
            ledger.begin_day()

    def named(self, account: str) -> AccountLedger:
        """Return an account by its id.

        Raises:
            RefusedError: If there is no such account (321).
        """
        ledger = self._ledgers.get(account)
        if ledger is None:
            raise invalid(f"Invalid account code {account!r}")
        return ledger

    def ordered(self, account: str) -> AccountLedger:
        """Return the account of an order. An order may leave it out if there is only one account.

        Raises:
            RefusedError: If it is missing and there are several (435, documented), or unknown (321).
        """
        if not account and len(self) > 1:
            raise RefusedError(435, "You must specify an account.")
        return self.named(account) if account else self.main

    def asked(self, account: str) -> list[AccountLedger]:
        """Return the accounts of a request: the one it names, or all.

        Raises:
            RefusedError: If the account is unknown (321).
        """
        return list(self) if account in ("", EVERYBODY) else [self.named(account)]
