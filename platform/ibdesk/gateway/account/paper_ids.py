"""The ids of paper accounts."""

from __future__ import annotations

from ibdesk.errors import ConfigError


def checked_id(account: str) -> str:
    """Return an account's id if it is that of a paper account.

    Raises:
        ConfigError: If it is not; the message names it.
    """
    if not (account.startswith("D") and account.isalnum() and account.isascii()):
        raise ConfigError(f"gateway.account must begin with D as paper accounts do, got {account!r}")
    return account
