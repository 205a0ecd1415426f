"""`ibdesk halt`, `resume` and `halts`: through the running desk, else in the account's file."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

from rich.text import Text

from ibdesk.cli.logs import record
from ibdesk.cli.screen import line, plain_table, show_table
from ibdesk.cli.trading import Connection
from ibdesk.clock import wall_ns
from ibdesk.config import secure_state_folder
from ibdesk.desk import Desk, DeskSettings
from ibdesk.desk.answers import HaltInfo
from ibdesk.desk.attached import AttachedDesk
from ibdesk.desk.halt_commands import halting_state, scope_named, stated_reason
from ibdesk.desk.inspection import halt_info
from ibdesk.desk.offline_halts import halts_of_account
from ibdesk.desk.port.addresses import SocketAddress, address_of
from ibdesk.errors import DetachedError, IbdeskError, OutcomeUnknownError
from ibdesk.model import moment
from ibdesk.store import AccountHalts
from ibdesk.telemetry import correlated

_BY = "local"
_ATTACH_SECONDS = 10.0


def run_halt(connection: Connection, reason: str, *, scope: str, state: str, address: str | None) -> None:
    """Halt trading, and print the halt's id.

    Raises:
        ConfigError: If a setting is invalid, or no desk runs and the account is unknown.
        DeskError: If the scope or the state is unknown.
    """
    settings = _settings(connection)
    with contextlib.ExitStack() as stack:
        desk = _desk(settings, address, stack)
        if desk is not None:
            halt = desk.halt(reason, scope=scope, state=state, by=_BY)
        else:
            said, at_ns = stated_reason(reason, "halt"), wall_ns()
            scope, wanted = scope_named(scope, at_ns), halting_state(state)
            halts = _file(settings, stack)
            halt = halt_info(halts.halt(said, by=_BY, at_ns=at_ns, scope=scope, state=wanted))
    _record(settings, "risk.halt", id=halt.id, reason=halt.reason, scope=halt.scope, state=halt.state)
    line(halt.state, Text(f"{halt.scope}: {halt.reason}"), style="bold red")
    line("lift it", Text(f"ibdesk resume {halt.id} REASON"))


def run_resume(connection: Connection, halt_id: str, reason: str, *, address: str | None) -> None:
    """Lift one halt, and print those still in force.

    Raises:
        ConfigError: If a setting is invalid, or no desk runs and the account is unknown.
        DeskError: If no such halt is in force, or the reason is empty.
    """
    settings = _settings(connection)
    with contextlib.ExitStack() as stack:
        desk = _desk(settings, address, stack)
        if desk is not None:
            desk.resume(reason, id=halt_id, by=_BY)
            left: Sequence[HaltInfo] = desk.risk().halts
        else:
            said, halts = stated_reason(reason, "resume"), _file(settings, stack)
            halts.lift(halt_id, said, by=_BY, at_ns=wall_ns())
            left = [halt_info(each) for each in halts.peek().halts]
    _record(settings, "risk.resume", id=halt_id, reason=reason)
    line("lifted", Text(halt_id))
    _show(left)


def list_halts(connection: Connection, *, address: str | None) -> None:
    """Print the halts in force.

    Raises:
        ConfigError: If a setting is invalid, or no desk runs and the account is unknown.
    """
    settings = _settings(connection)
    with contextlib.ExitStack() as stack:
        desk = _desk(settings, address, stack)
        if desk is not None:
            _show(desk.risk().halts)
        else:
            _show([halt_info(each) for each in _file(settings, stack).peek().halts])


def _settings(connection: Connection) -> DeskSettings:
    settings = connection.settings(DeskSettings)
    secure_state_folder(settings.state_folder)
    return settings


def _desk(settings: DeskSettings, address: str | None, stack: contextlib.ExitStack) -> AttachedDesk | None:
    """Return the running desk, or None; a desk at an explicit address must answer.

    Raises:
        DetachedError: If the desk at the given address cannot be reached.
        DeskError: If the desk at the address of the settings has another mode or account.
    """
    where = address_of(address) if address else settings.port()
    is_there = not isinstance(where, SocketAddress) or where.path.exists()
    # A desk named by its address may have any mode and account.
    mode = "" if address else settings.mode
    account = "" if address or mode == "embedded" else settings.tws.account
    try:
        seconds = _ATTACH_SECONDS if is_there else 0.1
        desk = stack.enter_context(Desk.attach(str(where), mode=mode, account=account, timeout_seconds=seconds))
    except OutcomeUnknownError:
        raise
    except DetachedError:
        if address is not None or settings.mode == "embedded":
            raise
        return None
    stack.enter_context(correlated())
    return desk


def _file(settings: DeskSettings, stack: contextlib.ExitStack) -> AccountHalts:
    halts = halts_of_account(settings)
    stack.callback(halts.close)
    line(
        "desk",
        Text(f"none answers; these are the stored halts of account {halts.account}, which its next desk applies"),
    )
    return halts


def _show(halts: Sequence[HaltInfo]) -> None:
    if not halts:
        line("trading", "NORMAL: nothing is halted")
        return
    table = plain_table("Id", "State", "Scope", "By", "Since, UTC", "Reason", title="Halts")
    for halt in halts:
        since = f"{moment(halt.at_ns):%Y-%m-%d %H:%M:%S}"
        table.add_row(*map(Text, (halt.id, halt.state.upper(), halt.scope, halt.by, since, halt.reason)))
    show_table(table)


def _record(settings: DeskSettings, action: str, **facts: str) -> None:
    """Append to the audit log; the halt is valid even if the log cannot be written."""
    with contextlib.suppress(IbdeskError, OSError):
        record(settings, action, **facts)
