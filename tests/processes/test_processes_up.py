"""`ibdesk up` supervises the engine: it restarts it however often it dies, and reports clearly that it was away."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from tests.plain_http import PLAIN
from tests.stack import Program, Stack, eventually

from ibdesk.testing.gateway import RunningGateway

if TYPE_CHECKING:
    from tests.processes.conftest import MakeStack, Trading

pytestmark = pytest.mark.timeout(600)


STEADY = '''
from ibdesk import Quote, Strategy


class Steady(Strategy):
    """Buy a share and sell it again, ten times a second, also after a restart."""

    def on_start(self) -> None:
        self.after(0.1)

    def on_quote(self, quote: Quote) -> None:
        self.state.setdefault("symbol", quote.instrument)

    def on_timer(self, name: str) -> None:
        self.after(0.1)
        if "symbol" in self.state:
            order = self.sell if self.position(self.state["symbol"]).quantity > 0 else self.buy
            order(self.state["symbol"], 1)
'''


def start_up(stack: Stack, *words: str) -> Program:
    program = stack.start("up", "--port", str(stack.port), "--no-dashboard", *words)
    program.until(r"end +Ctrl-C")
    return program


def engine_of(program: Program) -> int | None:
    for pid in program.children():
        try:
            words = Path(f"/proc/{pid}/cmdline").read_text().split("\0")
        except OSError:
            continue
        if "engine" in words:
            return pid
    return None


def readiness(stack: Stack) -> httpx.Response:
    with stack.api() as api:
        return api.get("/health/ready")


def held(stack: Stack) -> dict[str, float]:
    positions = stack.get("/api/v1/positions")["items"]
    return {row["owner"].partition("-")[0]: row["quantity"] for row in positions if row["quantity"]}


def test_an_engine_that_is_killed_comes_back_and_its_books_are_those_of_the_account(
    make_stack: MakeStack, walking_gateway: RunningGateway, trading: Trading, tmp_path: Path
) -> None:
    stack = make_stack()
    strategy = tmp_path / "steady.py"
    strategy.write_text(STEADY)
    up = start_up(stack, "--strategy", str(strategy), "--on", "AAPL")
    trading.goes_on()

    for times in (1, 2):
        first = engine_of(up)
        assert first is not None
        os.kill(first, signal.SIGKILL)

        eventually(lambda: readiness(stack).status_code == 503, "the server says that the engine is away")
        with stack.api() as api:
            refused = api.post("/api/v1/risk/halt", json={"reason": "lunch"})
        detailed = stack.get("/health/detailed")
        if detailed["components"]["desk"]["state"] == "down":
            assert "the engine is away" in detailed["components"]["desk"]["reason"]
            assert detailed["status"] == "down"
            assert refused.status_code in {503, 504}

        eventually(lambda: readiness(stack).is_success, "the engine is back")
        assert engine_of(up) != first
        # Ten orders a second again: the same run, which goes on where it was.
        trading.goes_on()
        assert up.said.count("The engine was killed (SIGKILL)") == times
        assert "Open positions are unmanaged" in up.said
        eventually(lambda times=times: up.said.count("The engine is back") == times, "the command says so")  # type: ignore[misc]

    runs = stack.get("/api/v1/runs")["items"]
    assert [run["state"] for run in runs] == ["running"]
    with stack.api() as api:
        api.post(f"/api/v1/runs/{runs[0]['run_id']}/stop", json={"flatten": True})

    def is_flat() -> bool:
        account = sum(
            execution.quantity * (1 if execution.action.startswith("B") else -1)
            for execution in walking_gateway.executions
        )
        return account == 0 and held(stack) == {}

    eventually(is_flat, "the books say what the account holds")
    fills: list[dict[str, Any]] = stack.get("/api/v1/fills", limit=1_000)["items"]
    known = {fill["execution_id"] for fill in fills}
    assert known >= {execution.id for execution in walking_gateway.executions[-len(known) :]}
    assert up.stop() == 0
    assert up.children() == []


def test_ctrl_c_ends_all_of_it_also_while_the_engine_cannot_be_started(
    make_stack: MakeStack,
) -> None:
    with RunningGateway(symbols=["AAPL"]) as gateway:
        stack = make_stack(IBDESK_TWS__CONNECT_TIMEOUT_SECONDS="2")
        up = start_up(stack, "--tws-port", str(gateway.port))
        engine = engine_of(up)
        assert engine is not None
    os.kill(engine, signal.SIGKILL)
    # It tries again and again; TWS is not there.
    eventually(lambda: up.said.count("Open positions are unmanaged") >= 3, "three tries")

    assert up.stop(seconds=40) == 1
    assert up.children() == []
    with pytest.raises(httpx.TransportError):
        httpx.get(stack.url, **PLAIN)
