"""The halts of an account where no desk runs: commands read and write its file, and the next desk holds them."""

from __future__ import annotations

from ibdesk.desk.naming import id_named
from ibdesk.desk.settings import DeskSettings
from ibdesk.desk.stopping import guardian_config
from ibdesk.errors import ConfigError, DeskError
from ibdesk.guardian.request import account_in
from ibdesk.model import DESK_SCOPE, TradingState, instrument_scope
from ibdesk.store import AccountHalts


def halts_of_account(settings: DeskSettings) -> AccountHalts:
    """Return the halts of the account that a desk with these settings trades.

    Raises:
        ConfigError: If the account is not known, or keeps no halts.
        AccountHaltsError: If its file cannot be used.
    """
    if settings.mode == "embedded":
        raise ConfigError("no desk runs, and an embedded account ends with its desk: add --mode paper or --mode live")
    account = settings.tws.account or account_in(guardian_config(settings))
    if not account:
        raise ConfigError("no desk runs that knows the account: name it, --account U1234567")
    return AccountHalts(settings.mode, account)


def scope_named(scope: str, at_ns: int) -> str:
    """Return a scope with the instrument's own name.

    Raises:
        DeskError: If it is none.
    """
    kind, _, name = scope.partition(":")
    if kind == "instrument" and name:
        return instrument_scope(id_named(name, at_ns))
    if scope == DESK_SCOPE or (kind == "run" and name):
        return scope
    raise DeskError(f"a scope is desk, run:<id> or instrument:<name>, got {scope!r}")


def halting_state(state: str) -> TradingState:
    """Return the state of a halt by its name.

    Raises:
        DeskError: If there is no such state.
    """
    known = [each.value for each in TradingState if each is not TradingState.NORMAL]
    if state not in known:
        raise DeskError(f"the state of a halt is {' or '.join(known)}, got {state!r}")
    return TradingState(state)


def stated_reason(reason: str, what: str) -> str:
    """Return why trading is to be halted or resumed.

    Raises:
        DeskError: If nothing is said.
    """
    if not isinstance(reason, str):
        raise DeskError(f"the reason to {what} trading is text, got {reason!r}")
    if not reason.strip():
        raise DeskError(f"to {what} trading, say why: the reason goes on the record")
    return reason.strip()
