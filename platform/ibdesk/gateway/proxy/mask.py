"""Masking of accounts: every account id in a recording is replaced, always by the same name."""

from __future__ import annotations

import re
from collections.abc import Iterable

# The format of IB's account ids: U live, F advisor, I introducing broker, with D in front on paper; believed to have
# seven or eight digits, six in old ones, and in some structures one more letter before or after the digits.
_ACCOUNT = re.compile(r"D?[UFI][A-Z]?\d{5,9}[A-Z]?")
_WORD = re.compile(r"[A-Za-z0-9]+")
_FIRST = 9_000_001


class AccountMask:
    """Replaces account ids by ``DU9000001``, ``DU9000002``, ... in the order of their appearance.

    An id is one that TWS has listed (see `learn`) or one in the usual format. It is replaced wherever it is a whole
    word, also within other text.
    """

    def __init__(self) -> None:
        self._names: dict[str, str] = {}

    def learn(self, accounts: Iterable[str]) -> None:
        """Treat these words as account ids, whatever their format."""
        for account in accounts:
            if _WORD.fullmatch(account):
                self._name(account)

    def masked(self, text: str) -> str:
        """Return the text with every account id replaced."""
        return _WORD.sub(self._replaced, text)

    def _replaced(self, match: re.Match[str]) -> str:
        word = match[0]
        known = self._names.get(word)
        if known is None and _ACCOUNT.fullmatch(word):
            known = self._name(word)
        return word if known is None else known

    def _name(self, account: str) -> str:
        return self._names.setdefault(account, f"DU{_FIRST + len(self._names)}")
