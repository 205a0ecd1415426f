"""A command to a stopped engine is never carried out after its caller received "no answer"."""

from __future__ import annotations

import os
import signal
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
from tests.redis_server import RedisServer
from tests.stack import Stack, eventually

from ibdesk.testing.gateway import RunningGateway

if TYPE_CHECKING:
    from tests.processes.conftest import MakeStack

pytestmark = pytest.mark.timeout(600)

ORDER = {"symbol": "AAPL", "side": "buy", "quantity": 3}


class Asking:
    """A request on a thread of its own."""

    def __init__(self, stack: Stack, path: str, body: dict[str, Any]) -> None:
        self._stack, self._path, self._body = stack, path, body
        self.status, self.detail, self.seconds = 0, "", 0.0
        self._thread = threading.Thread(target=self._ask)
        self._thread.start()

    def _ask(self) -> None:
        began = time.monotonic()
        with self._stack.api() as api:
            answer = api.post(self._path, json=self._body)
        self.status, self.seconds = answer.status_code, time.monotonic() - began
        self.detail = answer.json().get("detail", "")

    def answered(self) -> None:
        self._thread.join(60)
        assert not self._thread.is_alive()


def quantities(stack: Stack) -> list[float]:
    return [order["quantity"] for order in stack.get("/api/v1/orders")["items"]]


@pytest.mark.parametrize("over_redis", [False, True], ids=["socket", "redis"])
def test_what_was_asked_of_a_stopped_engine_is_not_done_when_it_goes_on(
    make_stack: MakeStack, walking_gateway: RunningGateway, redis_server: RedisServer, over_redis: bool
) -> None:
    variables = {"IBDESK_COMMAND_SECONDS": "8"}
    if over_redis:
        variables["IBDESK_PORT_ADDRESS"] = "redis:paper"
    stack = make_stack(redis_url=redis_server.socket_url if over_redis else "", **variables)
    engine = stack.start_engine()
    stack.start_web()
    with stack.api() as api:
        # The price of it is known from here on, so that an order goes out at once.
        assert api.post("/api/v1/orders", json=ORDER | {"quantity": 1}).status_code == 201
    eventually(lambda: len(walking_gateway.executions) == 1, "the first order is filled")

    os.kill(engine.pid, signal.SIGSTOP)
    try:
        order = Asking(stack, "/api/v1/orders", ORDER)
        halt = Asking(stack, "/api/v1/risk/halt", {"reason": "lunch"})
        order.answered()
        halt.answered()
        # By now the engine is taken for dead.
        late = Asking(stack, "/api/v1/orders", ORDER | {"quantity": 5})
        late.answered()
    finally:
        os.kill(engine.pid, signal.SIGCONT)
    eventually(lambda: stack.get("/health/detailed")["status"] == "ok", "the engine is back")

    # 504: nobody knows. 503: it was not done and will not be.
    assert (order.status, halt.status, late.status) == (504, 504, 503)
    assert "is not known" in order.detail
    assert "nothing was done" in late.detail
    assert 8 <= order.seconds < 25
    with stack.api() as api:
        assert api.post("/api/v1/orders", json=ORDER | {"quantity": 7}).status_code == 201
    eventually(lambda: len(walking_gateway.executions) == 2, "the order after it is filled")
    assert sorted(quantities(stack)) == [1, 7]
    assert sorted(execution.quantity for execution in walking_gateway.executions) == [1, 7]
    assert stack.get("/health/detailed")["desk"]["halted"] == ""
    assert engine.stop() == 0
