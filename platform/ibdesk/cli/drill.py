"""`ibdesk stop --drill`: proves that the account can be stopped, and records the time it took."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from ibdesk.cli.screen import console, line, plain_table, show_table, step
from ibdesk.cli.trading import Connection
from ibdesk.clock import wall_ns
from ibdesk.config import secure_state_folder
from ibdesk.desk import AttachedDesk, DeskHandle, DeskSettings
from ibdesk.desk.child import ChildProcess
from ibdesk.desk.stopping import guardian_config
from ibdesk.errors import ConfigError, DeskError, IbdeskError
from ibdesk.guardian.config import GuardianConfig
from ibdesk.guardian.drills import Drill, drills_in, keep_drill
from ibdesk.guardian.request import StopOutcome, StopRequest, guardian_status, stop_account
from ibdesk.guardian.stop import Level
from ibdesk.model import moment
from ibdesk.tws import TwsSettings

_READY_SECONDS = 120.0
_LOOK_SECONDS = 0.1
_REASON = "a drill"
_SHARES = 5
# The strategy of the drill: it buys, and hangs its engine as soon as it has bought.
_HANGS = f'''"""Buys and hangs."""

from ibdesk import Fill, Quote, Strategy


class Hangs(Strategy):
    """Buy {_SHARES} shares and never return."""

    def on_quote(self, quote: Quote) -> None:
        if not self.state:
            self.state["bought"] = 1
            self.buy(quote.instrument, {_SHARES})

    def on_fill(self, fill: Fill) -> None:
        while True:
            pass
'''


def run_drill(connection: Connection, *, symbol: str) -> None:
    """Prove that the account can be stopped: on a simulated TWS, or in mode paper with one share of `symbol`.

    Raises:
        ConfigError: If the mode is live, or it is paper and `symbol` is empty.
        DeskError: If the account was not flat in time, or the books differ from it afterwards.
    """
    settings = connection.settings(DeskSettings)
    if settings.mode == "live":
        raise ConfigError("a drill closes every position and is not available for live money: use --mode paper")
    secure_state_folder(settings.state_folder)
    # The processes of a drill log a lot, and all of it is expected.
    logging.getLogger("ibdesk.desk.child").setLevel(logging.ERROR)
    drill = _on_paper(settings, symbol) if connection.mode == "paper" else _on_own_gateway()
    keep_drill(settings.state_folder, drill)
    if drill.failure:
        raise DeskError(f"the drill failed: {drill.failure}")
    line("proved", f"flat {drill.seconds:.2f} s after the command; the books equal the account", style="bold green")


def list_drills(connection: Connection) -> None:
    """Print the recorded drills, oldest first."""
    found = drills_in(connection.settings(DeskSettings).state_folder)
    if not found:
        console.print("  no drill is recorded: run ibdesk stop --drill")
        return
    table = plain_table("at, UTC", "where", "account", "outcome", "seconds", title="Drills", right=1)
    for drill in found:
        at = f"{moment(drill.at_ns):%Y-%m-%d %H:%M:%S}"
        table.add_row(at, drill.where, drill.account, drill.failure or "proved", f"{drill.seconds:.2f}")
    show_table(table)


# --- on a simulated TWS


def _on_own_gateway() -> Drill:
    """Start gateway, guardian and engine, hang the engine with a strategy, and stop the account.

    The state folder and the accounts of this machine are not touched.
    """
    with tempfile.TemporaryDirectory(prefix="ibdesk-drill-") as name, contextlib.ExitStack() as stack:
        folder = Path(name)
        strategy = folder / "hangs.py"
        strategy.write_text(_HANGS, encoding="utf-8")
        environment = _own_environment(folder)
        step("Drill on a simulated TWS")
        tws = _started(stack, environment, "the gateway", "ibdesk.cli.drill_gateway").partition(":")[2]
        paper = ["--mode", "paper", "--tws-port", tws]
        settings = DeskSettings(
            mode="paper", state_folder=folder / "ibdesk", tws=TwsSettings(mode="paper", port=int(tws))
        )
        config = guardian_config(settings)
        _started(stack, environment, "the guardian", "ibdesk.cli", "guardian", *paper, "--end-with-stdin")
        engine = [*paper, "--end-with-stdin", "--strategy", str(strategy), "--on", "AAPL"]
        first = _child(environment, "the engine", "ibdesk.cli", "engine", *engine)
        stack.callback(first.close, timeout_seconds=1.0)
        status = _until(config, lambda found: found["positions"], f"a position of {_SHARES} AAPL")
        line("position", f"{status['positions']}, and the engine hangs")
        with _accounts(folder):
            outcome = asyncio.run(stop_account(config, StopRequest(level=Level.FLATTEN, reason=_REASON), _tell))
            os.kill(first.pid, signal.SIGKILL)
            first.close()
            second = stack.enter_context(_child(environment, "the engine", "ibdesk.cli", "engine", *engine[:5]))
            second.until_ready(_READY_SECONDS)
            desk = stack.enter_context(AttachedDesk.open(str(settings.socket)))
            return _judged(outcome, desk, where="gateway")


def _own_environment(folder: Path) -> dict[str, str]:
    """Return the environment of the drill's processes: their own folders and none of this machine's settings."""
    kept = {name: text for name, text in os.environ.items() if not name.startswith(("IBDESK_", "NOTIFY_SOCKET"))}
    return kept | {
        "IBDESK_CONFIG": "",
        "XDG_STATE_HOME": str(folder),
        "IBDESK_ACCOUNTS": str(folder / "accounts"),
        # The engine's own watchdog would end the run; the drill needs an engine that stays hung.
        "IBDESK_ENGINE__CALL_SECONDS": "0",
        "IBDESK_GUARDIAN__HEARTBEAT_SECONDS": "3600",
        "IBDESK_GUARDIAN__START_SECONDS": "3600",
    }


def _child(environment: Mapping[str, str], name: str, module: str, *words: str) -> ChildProcess:
    return ChildProcess(name, module, words, environment=environment)


def _started(stack: contextlib.ExitStack, environment: Mapping[str, str], name: str, module: str, *words: str) -> str:
    """Start a process that ends with the drill, and return the line that it prints when ready."""
    return stack.enter_context(_child(environment, name, module, *words)).until_ready(_READY_SECONDS)


@contextlib.contextmanager
def _accounts(folder: Path) -> Iterator[None]:
    """Keep the halts of the drill's account in the drill's folder, in this process too."""
    before = os.environ.get("IBDESK_ACCOUNTS")
    os.environ["IBDESK_ACCOUNTS"] = str(folder / "accounts")
    try:
        yield
    finally:
        if before is None:
            del os.environ["IBDESK_ACCOUNTS"]
        else:
            os.environ["IBDESK_ACCOUNTS"] = before


# --- on paper


def _on_paper(settings: DeskSettings, symbol: str) -> Drill:
    """Buy one share on the running desk and stop the account, then lift the drill's halt.

    Raises:
        ConfigError: If `symbol` is empty.
        DeskError: If no desk runs, or the account has positions or open orders, which the drill would close.
    """
    if not symbol:
        raise ConfigError("name the stock of which the drill buys one share, such as --symbol AAPL")
    step(f"Drill on paper, with one share of {symbol}")
    config = guardian_config(settings)
    with AttachedDesk.open(str(settings.socket)) as desk:
        desk.check(mode="paper", account=settings.tws.account)
        held = _held(desk)
        if held or desk.health().open_orders:
            raise DeskError(
                f"account {desk.health().account} holds {_words(held)} and has {desk.health().open_orders} open "
                f"orders, which a drill would close: run the drill while the account is flat"
            )
        desk.place(symbol, "buy", 1, by="drill")
        _wait(lambda: _held(desk), f"one share of {symbol}")
        outcome = asyncio.run(stop_account(config, StopRequest(level=Level.FLATTEN, reason=_REASON), _tell))
        drill = _judged(outcome, desk, where="paper")
        with contextlib.suppress(IbdeskError):
            desk.resume("the drill is over", id=outcome.halt_id, by="drill")
        return drill


# --- both


def _judged(outcome: StopOutcome, desk: DeskHandle, *, where: str) -> Drill:
    """Return the result of the drill; it passes if the account is flat and halted and the books equal the account."""
    failure = outcome.failure or (f"{_words(outcome.positions)} is held" if outcome.positions else "")
    if not failure:
        with contextlib.suppress(DeskError):
            _wait(lambda: not _held(desk), "books without a position")
        if held := _held(desk):
            failure = f"the account is flat but the books hold {_words(held)}"
        elif not desk.health().halted:
            failure = "the account is flat but the engine is not halted"
    return Drill(
        at_ns=wall_ns(),
        where=where,
        account=outcome.account,
        seconds=round(outcome.seconds, 3),
        by_guardian=outcome.by_guardian,
        failure=failure,
    )


def _held(desk: DeskHandle) -> dict[str, float]:
    """Return the quantity of each instrument in the books, summed over all owners."""
    found: dict[str, float] = {}
    for row in desk.positions().iter_rows(named=True):
        found[row["symbol"]] = found.get(row["symbol"], 0.0) + row["quantity"]
    return {symbol: quantity for symbol, quantity in found.items() if quantity}


def _until(config: GuardianConfig, look: Callable[[dict[str, Any]], object], what: str) -> dict[str, Any]:
    """Wait until `look` accepts the guardian's status, and return it."""
    last: dict[str, Any] = {}

    def looked() -> bool:
        last.clear()
        with contextlib.suppress(OSError):
            last.update(asyncio.run(guardian_status(config)))
        return bool(last and look(last))

    _wait(looked, what)
    return last


def _wait(look: Callable[[], object], what: str) -> None:
    ends = time.monotonic() + _READY_SECONDS
    while not look():
        if time.monotonic() > ends:
            raise DeskError(f"the drill waited {_READY_SECONDS:g} s for {what} and gave up")
        time.sleep(_LOOK_SECONDS)


def _words(held: Mapping[str, float]) -> str:
    return ", ".join(f"{quantity:g} {symbol}" for symbol, quantity in held.items()) or "nothing"


def _tell(text: str) -> None:
    line("stop", text)
