"""Who loads the API: viewers who look at everything, traders who place and cancel, watchers of the feed.

    locust -f tests/load/locustfile.py --host http://127.0.0.1:8000

with an API key that may trade in the variable LOAD_KEY. It places orders of one share far below the market, on the
desk that it is led to, and cancels them: `python -m tests.load.rest` leads it to one on the embedded gateway, and it
refuses any but a desk on this machine whose account is a paper account.
"""

from __future__ import annotations

import os
import random
import time
from typing import Any
from urllib.parse import urlsplit

import msgspec
from locust import FastHttpUser, User, between, events, task
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

_HOSTS = {"127.0.0.1", "localhost", "::1"}
_SYMBOLS = ("AAPL", "MSFT", "GOOG", "IBM")
# So far below the market that no order fills; a limit is rounded to its tick by the desk.
_FAR = 1.0


def headers() -> dict[str, str]:
    """Return what says who is asking."""
    return {"X-API-Key": os.environ["LOAD_KEY"]}


@events.test_start.add_listener  # type: ignore[untyped-decorator] # locust's events have no annotations
def refuse_other_desks(environment: Any, **_: Any) -> None:
    """End at once unless the desk is on this machine."""
    if urlsplit(environment.host or "").hostname not in _HOSTS:
        environment.runner.quit()
        raise SystemExit(f"the load is for a desk on this machine, not for {environment.host}")


class Viewer(FastHttpUser):
    """Looks at book and market, as a page that polls."""

    weight = 6
    wait_time = between(0.1, 0.5)

    def on_start(self) -> None:
        """Show the key with every request."""
        self.client.auth_header = None
        self.default_headers = headers()

    @task(4)
    def look_at_the_book(self) -> None:
        """Ask for one of the lists."""
        name = random.choice(("positions", "orders", "fills", "runs"))
        self.client.get(f"/api/v1/{name}", name=f"/api/v1/{name}", headers=headers())

    @task(3)
    def look_at_the_market(self) -> None:
        """Ask for quotes and bars."""
        self.client.get("/api/v1/quotes", headers=headers())
        self.client.get(f"/api/v1/bars/{random.choice(_SYMBOLS)}", name="/api/v1/bars/{symbol}", headers=headers())

    @task(2)
    def look_at_the_account(self) -> None:
        """Ask for the account."""
        self.client.get("/api/v1/account", headers=headers())

    @task(1)
    def look_at_the_health(self) -> None:
        """Ask as a probe does."""
        self.client.get("/health/live")
        self.client.get("/health/ready", headers=headers())


class Trader(FastHttpUser):
    """Places orders that do not fill, looks at them, and cancels them."""

    weight = 2
    wait_time = between(0.5, 1.5)

    def on_start(self) -> None:
        """Trade on paper or not at all."""
        account = self.client.get("/api/v1/account", headers=headers()).json()["id"]
        if not account.startswith("D"):
            raise SystemExit(f"{account} is no paper account: the load places orders")

    @task
    def place_and_cancel(self) -> None:
        """Place an order, ask for it, cancel it."""
        order = {"symbol": random.choice(_SYMBOLS), "side": "buy", "quantity": 1, "limit": _FAR}
        with self.client.post("/api/v1/orders", json=order, headers=headers(), catch_response=True) as answer:
            # 422 is the risk gate's refusal of more orders a second than are allowed: an answer, not a failure.
            if answer.status_code == 422:
                answer.success()
                return
            if answer.status_code != 201:
                answer.failure(f"{answer.status_code}: {answer.text}")
                return
        path = f"/api/v1/orders/{answer.json()['id']}"
        self.client.get(path, name="/api/v1/orders/{id}", headers=headers())
        self.client.delete(path, name="/api/v1/orders/{id}", headers=headers())


class Watcher(User):
    """Follows the feed; what is reported is how old its messages are."""

    weight = 2
    wait_time = between(0, 0)

    def on_start(self) -> None:
        """Connect and subscribe."""
        url = f"ws{(self.host or '').removeprefix('http')}/feed"
        began = time.perf_counter()
        self._feed = connect(url, additional_headers=headers(), compression=None, max_size=None, proxy=None)
        self._receive()
        self._feed.send(msgspec.msgpack.encode({"type": "subscribe", "topics": None, "symbols": None}))
        self._report("feed: connect and snapshot", 1000 * (time.perf_counter() - began))

    def on_stop(self) -> None:
        """Hang up."""
        self._feed.close()

    @task
    def read(self) -> None:
        """Take the next message and report how old its youngest quote is."""
        try:
            message = self._receive()
        except ConnectionClosed as closed:
            self._report("feed: message", 0.0, error=closed)
            self.on_start()
            return
        stamps = message.get("columns", {}).get("at_ns")
        if message["type"] == "delta" and message["topic"] == "quotes" and stamps:
            self._report("feed: age of a quote", (time.time_ns() - max(stamps)) / 1e6)

    def _receive(self) -> dict[str, Any]:
        message: dict[str, Any] = msgspec.msgpack.decode(self._feed.recv(decode=False))
        if message["type"] == "ping":
            self._feed.send(msgspec.msgpack.encode({"type": "pong", "at_ns": message["at_ns"]}))
        return message

    def _report(self, name: str, milliseconds: float, *, error: Exception | None = None) -> None:
        self.environment.events.request.fire(
            request_type="FEED", name=name, response_time=milliseconds, response_length=0, exception=error, context={}
        )
