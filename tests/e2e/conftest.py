"""A desk as a user runs it, on the embedded gateway or, when ``IBDESK_TWS_HOST`` is set, on a paper TWS.

    IBDESK_TWS_HOST=127.0.0.1 python -m pytest tests/e2e

``IBDESK_TWS_PORT`` (7497 when not given) and ``IBDESK_TWS_CLIENT_ID`` (77) say more. The suite orders single shares,
far from the market or there and back again, and cleans up after itself. It runs on nothing but a paper account: the
desk refuses any other in this mode, and so does the fixture below, once more, before anything is ordered.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.stack import Stack, eventually

from ibdesk.testing.gateway import RunningGateway

SYMBOL = "AAPL"
CLOSED = {"filled", "cancelled", "rejected", "denied", "expired"}
PROBING = '''
from ibdesk import Quote, Strategy


class Probing(Strategy):
    """Bid for one share at half the price, once."""

    def on_quote(self, quote: Quote) -> None:
        if not self.state.get("bid"):
            self.state["bid"] = True
            self.buy(quote.instrument, 1, limit=round((quote.bid or quote.ask) / 2, 2))
'''


class Tws:
    """Where the desk trades; `is_real` is whether it is somebody's TWS and not the embedded gateway."""

    def __init__(self, host: str, port: int, client_id: int, *, is_real: bool) -> None:
        self.host, self.port, self.client_id, self.is_real = host, port, client_id, is_real


@pytest.fixture(scope="session")
def tws() -> Iterator[Tws]:
    if host := os.environ.get("IBDESK_TWS_HOST"):
        port, client_id = os.environ.get("IBDESK_TWS_PORT", "7497"), os.environ.get("IBDESK_TWS_CLIENT_ID", "77")
        yield Tws(host, int(port), int(client_id), is_real=True)
        return
    with RunningGateway(symbols=[SYMBOL], seed=11) as gateway:
        yield Tws(gateway.host, gateway.port, 77, is_real=False)


class Running:
    """A desk that runs, and what a person does with it over the API."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.engine = stack.start_engine()
        stack.start_web()
        self.api = stack.api()
        self.feed = stack.watch_feed()

    def get(self, path: str, **query: Any) -> Any:
        """What the API answers; it must not refuse."""
        answer = self.api.get(path, params=query)
        assert answer.is_success, answer.text
        return answer.json()

    def order(self, order_id: str) -> dict[str, Any]:
        """An order as it is now."""
        found: dict[str, Any] = self.get(f"/api/v1/orders/{order_id}")
        return found

    def place(self, side: str, quantity: float, **terms: Any) -> dict[str, Any]:
        """Place an order by hand and return it; it must not be refused."""
        answer = self.api.post("/api/v1/orders", json={"symbol": SYMBOL, "side": side, "quantity": quantity} | terms)
        assert answer.status_code == 201, answer.text
        placed: dict[str, Any] = answer.json()
        return placed

    def until_order(self, order_id: str, *statuses: str, seconds: float = 60.0) -> dict[str, Any]:
        """Wait until an order is in one of these states, and return it."""
        return eventually(
            lambda: order if (order := self.order(order_id))["status"] in statuses else None,
            f"order {order_id} is {' or '.join(statuses)}",
            seconds=seconds,
        )

    def far_price(self) -> float:
        """A price at which nobody sells: half of the last one that was traded."""
        [*_, last] = self.get(f"/api/v1/history/{SYMBOL}", bar="1 day", count=5)["items"]
        return round(float(last["close"]) / 2, 2)

    def restart_engine(self, *, kill: bool) -> None:
        """End the engine, start another one, and wait until the web server has found it."""
        if kill:
            self.engine.kill()
        else:
            assert self.engine.stop() == 0
        self.engine = self.stack.start_engine()
        eventually(lambda: self.api.get("/health/ready").is_success, "ready again")

    def clean_up(self) -> None:
        """Cancel what is open and give back what was bought by hand."""
        self.api.delete("/api/v1/orders")
        held = sum(row["quantity"] for row in self.get("/api/v1/positions", owner="manual")["items"])
        if held:
            self.place("sell" if held > 0 else "buy", abs(held))


@pytest.fixture(scope="module")
def running(tws: Tws, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder: Path = tmp_path_factory.mktemp("e2e")
    strategies = folder / "strategies"
    strategies.mkdir()
    (strategies / "probing.py").write_text(PROBING)
    stack = Stack(
        folder,
        tws_port=tws.port,
        variables={
            "IBDESK_TWS__HOST": tws.host,
            "IBDESK_TWS__CLIENT_ID": str(tws.client_id),
            "IBDESK_SERVER__STRATEGIES": str(strategies),
        },
    )
    try:
        running = Running(stack)
        account = running.get("/api/v1/account")["id"]
        if not account.startswith("D"):
            pytest.fail(f"{account} is no paper account: these tests order on nothing else")
        try:
            yield running
        finally:
            with contextlib.suppress(httpx.TransportError):
                running.clean_up()
            running.api.close()
    finally:
        stack.close()
