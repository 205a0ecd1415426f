"""The halts of an account without a running desk: commands read and write its file, and the next desk applies it."""

from __future__ import annotations

from ibdesk.desk.settings import DeskSettings
from ibdesk.desk.stopping import guardian_config
from ibdesk.errors import ConfigError
from ibdesk.guardian.request import account_in
from ibdesk.store import AccountHalts


def halts_of_account(settings: DeskSettings) -> AccountHalts:
    """Return the halts of the account that a desk with these settings trades.

    Raises:
        ConfigError: If the account is not known, or is embedded and so has no file of halts.
        AccountHaltsError: If its file cannot be used.
    """
    if settings.mode == "embedded":
        raise ConfigError("no desk runs, and an embedded account ends with its desk: add --mode paper or --mode live")
    account = settings.tws.account or account_in(guardian_config(settings))
    if not account:
        raise ConfigError("no running desk names the account: give it with --account U1234567")
    return AccountHalts(settings.mode, account)
