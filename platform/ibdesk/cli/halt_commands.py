"""The commands that halt, resume and list halts, with their options and help."""

from __future__ import annotations

import enum
from typing import Annotated

import typer

from ibdesk.cli import options as o
from ibdesk.cli.app import command
from ibdesk.cli.loading import loading


class HaltState(enum.StrEnum):
    """The state of a halt; the values are those of `ibdesk.model.TradingState`."""

    REDUCING = "reducing"
    HALTED = "halted"


@command(
    "Trade",
    "ibdesk halt 'prices look wrong'",
    "ibdesk halt 'its spread is too wide' --scope instrument:AAPL --state reducing",
    "ibdesk halt 'it repeats itself' --scope run:EmaCross-t4x7k2",
)
def halt(
    context: typer.Context,
    reason: Annotated[str, typer.Argument(help="Reason, for the audit log", show_default=False)],
    *,
    scope: Annotated[str, typer.Option(metavar="SCOPE", help="desk, run:ID or instrument:NAME")] = "desk",
    state: Annotated[
        HaltState, typer.Option(help="reducing lets orders pass that reduce or protect a position")
    ] = HaltState.HALTED,
    mode: o.ModeOption = None,
    account: o.Account = None,
    desk: o.DeskAddress = None,
) -> None:
    """Halt trading: deny and cancel orders that open a position, until a person lifts the halt.

    The running desk halts at once. If none answers, the halt is stored for the account and the next desk applies it.
    When the engine hangs, use `ibdesk stop`.
    """
    with loading():
        from ibdesk.cli.halts import run_halt
        from ibdesk.cli.trading import Connection

    connection = Connection(config=context.obj.config, mode=mode, account=account)
    run_halt(connection, reason, scope=scope, state=state.value, address=desk)


@command("Trade", "ibdesk resume 20261130-121204-3 'the prices were right'")
def resume(
    context: typer.Context,
    halt_id: Annotated[
        str, typer.Argument(metavar="ID", help="Id of the halt, see `ibdesk halts`", show_default=False)
    ],
    reason: Annotated[str, typer.Argument(help="Reason, for the audit log", show_default=False)],
    *,
    mode: o.ModeOption = None,
    account: o.Account = None,
    desk: o.DeskAddress = None,
) -> None:
    """Lift one halt by its id."""
    with loading():
        from ibdesk.cli.halts import run_resume
        from ibdesk.cli.trading import Connection

    run_resume(Connection(config=context.obj.config, mode=mode, account=account), halt_id, reason, address=desk)


@command("Trade", "ibdesk halts", "ibdesk halts --mode paper --account DU1234567")
def halts(
    context: typer.Context,
    *,
    mode: o.ModeOption = None,
    account: o.Account = None,
    desk: o.DeskAddress = None,
) -> None:
    """List the halts in force: those of the running desk, or of the account if no desk answers."""
    with loading():
        from ibdesk.cli.halts import list_halts
        from ibdesk.cli.trading import Connection

    list_halts(Connection(config=context.obj.config, mode=mode, account=account), address=desk)
