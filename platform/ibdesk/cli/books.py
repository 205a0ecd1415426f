"""`ibdesk accept`: books trades made outside the desk."""

from __future__ import annotations

from pathlib import Path

from ibdesk.cli.screen import line
from ibdesk.desk import Desk, DeskSettings
from ibdesk.engine import EXTERNAL
from ibdesk.telemetry import correlated


def accept_outside(symbol: str, *, run_id: str, address: str | None, config: Path | None) -> None:
    """Book outside trades to the runs that held the position, and print the remaining difference.

    Raises:
        ConfigError: If `address` is invalid.
        DetachedError: If no desk answers there.
        DeskError: If the account covers the books' positions, or the instrument has no known price.
    """
    settings = DeskSettings.load(config=config)
    where = address or str(settings.port())
    with Desk.attach(where) as desk, correlated():
        desk.accept_external(symbol, run_id=run_id, by="local")
        risk = desk.risk()
        line("accepted", f"{symbol} is booked to the runs that held it")
        for name, missing in risk.uncovered.items():
            line("uncovered", f"{name}: the books still hold {missing:g} more than the account")
        for halt in risk.halts:
            if halt.by == EXTERNAL:
                line("halted", f"{halt.scope}: {halt.reason} (lift it with id {halt.id})")
