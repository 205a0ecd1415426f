"""Hides whose account it is: every account id in a recording stands under another name, always the same one."""

from __future__ import annotations

import re
from collections.abc import Iterable

# What IB's account ids look like: U live, F advisor, I introducing broker, with D in front on paper; believed to have
# seven or eight digits, six in old ones, and in some structures one more letter before or behind the digits.
_ACCOUNT = re.compile(r"D?[UFI][A-Z]?\d{5,9}[A-Z]?")
_WORD = re.compile(r"[A-Za-z0-9]+")
_FIRST = 9_000_001


class AccountMask:
    """Gives each account id that it meets a name of its own: ``DU9000001``, ``DU9000002``, in the order they come.

    An id is what TWS has listed as one (see `learn`) or looks like one, wherever it stands as a whole word, also
    inside other text.
    """

    def __init__(self) -> None:
        self._names: dict[str, str] = {}

    def learn(self, accounts: Iterable[str]) -> None:
        """Take these for account ids, however they look."""
        for account in accounts:
            if _WORD.fullmatch(account):
                self._name(account)

    def masked(self, text: str) -> str:
        """Return the text with every account id in it under its other name."""
        return _WORD.sub(self._replaced, text)

    def _replaced(self, match: re.Match[str]) -> str:
        word = match[0]
        known = self._names.get(word)
        if known is None and _ACCOUNT.fullmatch(word):
            known = self._name(word)
        return word if known is None else known

    def _name(self, account: str) -> str:
        return self._names.setdefault(account, f"DU{_FIRST + len(self._names)}")
