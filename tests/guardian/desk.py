"""A real engine with a strategy that can hang, and the guardian beside it, as commands start them."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tests.guardian.conftest import ask
from tests.stack import Program, Stack, eventually

from ibdesk.testing.gateway import RunningGateway

BUYER = '''
from ibdesk import Quote, Strategy


class Buyer(Strategy):
    """Buy 100, protect them by a stop, bid for more; and hang in code that holds the interpreter below 95."""

    hangs: bool = True

    def on_quote(self, quote: Quote) -> None:
        if not self.state.get("begun"):
            self.state["begun"] = True
            self.buy(quote.instrument, 100)
            self.sell(quote.instrument, 100, stop=80.0)
            self.buy(quote.instrument, 10, limit=90.0)
        if self.hangs and quote.bid < 95:
            sum(range(10**14))
'''


class Desk:
    """An engine with a strategy, and the guardian beside it, as commands start them."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.command_socket = stack.state / "guardian-paper.sock"
        self.engine: Program
        self.guardian: Program

    def status(self) -> dict[str, Any]:
        """Return how the guardian is; nothing while it cannot be reached."""
        try:
            return ask(self.command_socket, "status")
        except OSError:
            assert self.guardian.is_running, self.guardian.said
            return {}

    def until(self, look: Callable[[dict[str, Any]], object], what: str, *, seconds: float = 90.0) -> dict[str, Any]:
        """Wait until the guardian's status is as wanted, and return it."""

        def looked() -> dict[str, Any] | None:
            status = self.status()
            return status if status and look(status) else None

        try:
            return eventually(looked, what, seconds=seconds)
        except AssertionError as error:
            raise AssertionError(f"{error}: {self.status()}\n{self.guardian.said}") from None


@contextlib.contextmanager
def running_desk(
    tws: RunningGateway, folder: Path, *, parameters: tuple[str, ...] = (), **guardian: str
) -> Iterator[Desk]:
    """Run an engine whose strategy has bought 100 AAPL, and a guardian with these settings."""
    variables = {f"IBDESK_GUARDIAN__{key.upper()}": text for key, text in guardian.items()}
    stack = Stack(
        folder,
        tws_port=tws.port,
        variables={"IBDESK_TWS__CALENDAR__REGION": "none", "IBDESK_TWS__CLIENT_ID": "33"} | variables,
    )
    file = folder / "buyer.py"
    file.write_text(BUYER)
    desk = Desk(stack)
    try:
        desk.engine = stack.start_engine("--strategy", str(file), "--on", "AAPL", *parameters)
        # In a market that stands still this is the first quote that the strategy sees.
        fall(tws, 100.0)
        tws.wait_for_order(timeout_seconds=60, status="Filled", quantity=100)
        tws.wait_for_order(timeout_seconds=60, kind="LMT")
        desk.guardian = stack.start("guardian")
        desk.until(lambda status: status["engine"] == "answers" and status["daily_pnl"] is not None, "a guardian up")
        yield desk
    finally:
        stack.close()


def fall(tws: RunningGateway, price: float) -> None:
    """Let the price of AAPL become this."""

    def say() -> None:
        tws.inner.quote("AAPL", price, price + 0.02)
        tws.inner.trade("AAPL", price)

    tws.call(say)


def working(tws: RunningGateway) -> list[tuple[str, float]]:
    return [(order.action, order.quantity) for order in tws.orders if order.status in ("Submitted", "PreSubmitted")]
