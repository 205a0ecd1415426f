"""`ibdesk stop`: stops the account, whatever else runs or hangs."""

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
    Level.HALT: "no order works that would open a position",
    Level.CANCEL: "no order works",
    Level.FLATTEN: "no order works and no position is held",
}


def run_stop(connection: Connection, level: Level, *, kill: bool, reason: str, seconds: float) -> StopOutcome:
    """Stop the account and print each step with the seconds it took.

    Raises:
        ConfigError: If a setting is wrong, or live money is to be stopped and the account is not named.
        DeskError: If not everything is done in time; the sentence says what is left, and who goes on.
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
    # The stop counts, whether or not there is room for its audit.
    with contextlib.suppress(IbdeskError, OSError):
        record(
            settings, "stop", outcome="done" if outcome.done else "failed", level=level.value, kill=kill, reason=reason,
            id=outcome.halt_id, seconds=round(outcome.seconds, 3),
        )  # fmt: skip
    if not outcome.done:
        raise DeskError(f"account {outcome.account or '(unknown)'} after {outcome.seconds:.1f} s: {outcome.failure}")
    line("account", outcome.account)
    line("done", f"{_DONE[level]}, after {outcome.seconds:.2f} s", style="bold green")
    line("halt", Text(f"{outcome.halt_id} stands until a person lifts it, by its id"))
    return outcome


def _who() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "local"
