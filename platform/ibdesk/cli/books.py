"""Booking what was traded outside the desk."""

from __future__ import annotations

from pathlib import Path

from ibdesk.cli.screen import line
from ibdesk.desk import Desk, DeskSettings
from ibdesk.engine import EXTERNAL
from ibdesk.telemetry import correlated


def accept_outside(symbol: str, *, run_id: str, address: str | None, config: Path | None) -> None:
    """Book trades made outside to those who held the position, on the desk that runs, and print what is left.

    Raises:
        ConfigError: If `address` is no address.
        DetachedError: If no desk answers there.
        DeskError: If the account covers what is held, or no price of the instrument is known.
    """
    settings = DeskSettings.load(config=config)
    where = address or str(settings.port())
    with Desk.attach(where) as desk, correlated():
        desk.accept_external(symbol, run_id=run_id, by="local")
        risk = desk.risk()
        line("accepted", f"{symbol} is booked to those who held it")
        for name, missing in risk.uncovered.items():
            line("uncovered", f"{name}: {missing:g} of what the books hold is still not in the account")
        for halt in risk.halts:
            if halt.by == EXTERNAL:
                line("halted", f"{halt.scope}: {halt.reason} (lift it with id {halt.id})")
