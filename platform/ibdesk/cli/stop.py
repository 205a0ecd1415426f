"""`ibdesk stop`: stops trading in the account, even if the engine hangs."""

from __future__ import annotations

import asyncio
import contextlib
import getpass

from rich.text import Text

from ibdesk.cli.logs import record
from ibdesk.cli.screen import line, step
from ibdesk.cli.trading import Connection
from ibdesk.config import secure_state_folder
from ibdesk.desk import DeskSettings
from ibdesk.desk.stopping import guardian_config
from ibdesk.errors import ConfigError, DeskError, IbdeskError
from ibdesk.guardian.request import StopOutcome, StopRequest, stop_account
from ibdesk.guardian.stop import Level, words_of

_DONE = {
    Level.HALT: "no open order would open a position",
    Level.CANCEL: "no order is open",
    Level.FLATTEN: "no order is open and no position is held",
}


def run_stop(connection: Connection, level: Level, *, kill: bool, reason: str, seconds: float) -> StopOutcome:
    """Stop the account and print each step with its time in seconds.

    Raises:
        ConfigError: If a setting is invalid, or the mode is live and the account is not named.
        DeskError: If not everything is done in time; the message names the rest and the process that continues.
    """
    settings, reason = connection.settings(DeskSettings), words_of(reason)
    if settings.mode == "live" and connection.account is None:
        raise ConfigError(f"mode is live: name the account, --account {settings.tws.account or 'U1234567'}")
    secure_state_folder(settings.state_folder)
    step(f"Stop, {settings.mode}: {level.value}{' and kill the engine' if kill else ''}")
    request = StopRequest(
        level=level, kill=kill, reason=reason, by=_who(), account=connection.account or "", seconds=seconds
    )
    outcome = asyncio.run(stop_account(guardian_config(settings), request, lambda text: line("stop", Text(text))))
    # The stop is valid even if the audit log cannot be written.
    with contextlib.suppress(IbdeskError, OSError):
        record(
            settings, "stop", outcome="done" if outcome.done else "failed", level=level.value, kill=kill, reason=reason,
            id=outcome.halt_id, seconds=round(outcome.seconds, 3),
        )  # fmt: skip
    if not outcome.done:
        raise DeskError(f"account {outcome.account or '(unknown)'} after {outcome.seconds:.1f} s: {outcome.failure}")
    line("account", outcome.account)
    line("done", f"{_DONE[level]}, after {outcome.seconds:.2f} s", style="bold green")
    line("halt", Text(f"{outcome.halt_id} remains in force until a person lifts it by its id"))
    return outcome


def _who() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "local"
