"""A gateway for a test, on its own thread and port, with its orders as plain values."""

from __future__ import annotations

import datetime as dt
import inspect
import threading
import time
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any, Self, TypeVar

from ibdesk.clock import SECOND, Clock, ManualClock, ScaledClock, SystemClock
from ibdesk.errors import ConfigError
from ibdesk.gateway import Faults, Gateway, GatewayThread, MarketSource, RandomWalk
from ibdesk.gateway.listening import Peer
from ibdesk.gateway.market.script import MarketScript
from ibdesk.testing.seen import SeenExecution, SeenOrder, seen_execution, seen_order

T = TypeVar("T")

# PRICES: the bid and ask of each instrument unless a test sets others.
PRICES = {
    "AAPL": (100.00, 100.02),
    "MSFT": (200.00, 200.02),
    "SPY": (500.00, 500.02),
    "EUR.USD": (1.10000, 1.10010),
}
# SIZE: the displayed size on each side.
SIZE = 1000.0
# STEPPED_START: a Monday, 10:00 in New York.
STEPPED_START = dt.datetime(2026, 4, 13, 14, 0, tzinfo=dt.UTC)
_PAST_MINUTES = 60
_LOOK_SECONDS = 0.05
# The shortest bars that TWS sends.
_STEP_SECONDS = 5.0


def still_market() -> MarketScript:
    """Return the still market of `PRICES`, with an hour of history."""
    script = MarketScript()
    for symbol, (bid, ask) in PRICES.items():
        for minute in range(-_PAST_MINUTES, 0):
            script.quote(symbol, bid, ask, at=60 * minute, bid_size=SIZE, ask_size=SIZE)
            script.trade(symbol, bid, at=60 * minute)
        script.quote(symbol, bid, ask, at=0, bid_size=SIZE, ask_size=SIZE)
        script.trade(symbol, bid, at=0)
    return script


class RunningGateway:
    """A gateway that runs inside a ``with`` block; clients connect to `host` and `port`.

    Args:
        market: The source of prices; by default the still market of `PRICES`.
        symbols: Symbols that walk at random from `seed` instead.
        seed: The seed of the random walk and of the ids of executions.
        clock: ``"real"``, ``"stepped"`` (time passes only by `advance`, from `STEPPED_START` on), or a speed in market
            seconds per real second.
        options: Other options of `Gateway`: cash, accounts, strict, partial, hours, pacing, ...

    Raises:
        ConfigError: If an option is unknown or invalid.
    """

    def __init__(
        self,
        *,
        market: MarketSource | None = None,
        symbols: Sequence[str] = (),
        seed: int = 0,
        clock: str | float = "real",
        **options: Any,
    ) -> None:
        if market is not None and symbols:
            raise ConfigError("the marker gateway has both market= and symbols=: a market knows its own symbols")
        known = set(inspect.signature(Gateway).parameters) - {"listener"}
        if unknown := sorted(set(options) - known):
            raise ConfigError(f"the marker gateway does not take {', '.join(unknown)}; it takes {_listed(known)}")
        if market is None:
            market = RandomWalk(seed, symbols) if symbols else still_market()
        self._news = _News()
        self._followers: list[Callable[[], None]] = []
        self.inner = Gateway(market=market, seed=seed, clock=_clock(clock), listener=self._news, **options)
        self._thread = GatewayThread(self.inner)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._thread.stop()

    @property
    def host(self) -> str:
        """Return the address that clients connect to."""
        return self.inner.host

    @property
    def port(self) -> int:
        """Return the port that clients connect to."""
        return self.inner.port

    @property
    def account(self) -> str:
        """Return the id of the account; of the first if there are several."""
        return self.inner.account

    @property
    def faults(self) -> Faults:
        """Return the switches of the gateway's faults."""
        return self.inner.faults

    @property
    def clock(self) -> Clock:
        """Return the clock of its market."""
        return self.inner.schedule.clock

    @property
    def client_ids(self) -> tuple[int, ...]:
        """Return the ids of the connected clients."""
        return self.call(lambda: self.inner.client_ids)

    @property
    def orders(self) -> tuple[SeenOrder, ...]:
        """Return every order of every client, oldest first."""
        return self.call(lambda: tuple(map(seen_order, self.inner.venue.records.values())))

    @property
    def executions(self) -> tuple[SeenExecution, ...]:
        """Return every execution, oldest first."""
        return self.call(lambda: tuple(map(seen_execution, self.inner.venue.executions)))

    def advance(self, seconds: float) -> None:
        """Let time pass on a stepped clock, with all events in it.

        A desk of the fixture `desk` follows in steps of five seconds: after each step it has processed the gateway's
        messages, and its orders are at the gateway.

        Raises:
            ConfigError: If the clock is not stepped.
        """
        if not isinstance(self.inner.schedule.clock, ManualClock):
            raise ConfigError('only a stepped gateway can be advanced: mark the test with gateway(clock="stepped")')
        left = seconds
        while self._followers and left > _STEP_SECONDS:
            self._step(_STEP_SECONDS)
            left -= _STEP_SECONDS
        self._step(left)

    def _step(self, seconds: float) -> None:
        self.call(lambda: self.inner.advance(seconds))
        for caught_up in self._followers:
            caught_up()

    def follow(self, caught_up: Callable[[], None]) -> None:
        """Make `advance` wait after each step for a client: `caught_up` returns once it has acted on all events."""
        self._followers.append(caught_up)

    def wait_for_order(self, *, timeout_seconds: float = 5.0, **wanted: object) -> SeenOrder:
        """Wait until an order has these attributes of `SeenOrder`, and return the first.

        It blocks: inside a coroutine use ``await asyncio.to_thread(gateway.wait_for_order, status="Filled")``.

        Raises:
            AssertionError: If there is none in time; it lists the existing orders.
            ConfigError: If orders have no such attribute.
        """
        if unknown := sorted(set(wanted) - set(SeenOrder.__struct_fields__)):
            raise ConfigError(f"orders have no {', '.join(unknown)}; they have {_listed(SeenOrder.__struct_fields__)}")
        return self.wait_until(
            lambda: next((order for order in self.orders if _answers(order, wanted)), None),
            timeout_seconds=timeout_seconds,
            what=f"order with {_worded(wanted)}" if wanted else "order",
        )

    def wait_until(self, look: Callable[[], T | None], *, timeout_seconds: float = 5.0, what: str = "such thing") -> T:
        """Wait until `look` returns a true value, and return it; it is called again after each message.

        Raises:
            AssertionError: If it does not in time.
        """
        ends = time.monotonic() + timeout_seconds
        while True:
            self._news.heard_any.clear()
            found = look()
            if found:
                return found
            left = ends - time.monotonic()
            if left <= 0:
                there = "; ".join(map(str, self.orders)) or "none"
                raise AssertionError(f"no {what} came in {timeout_seconds:g} s; the orders are: {there}")
            # Nothing is sent while the link is cut, so it also looks again after a while.
            self._news.heard_any.wait(min(left, _LOOK_SECONDS))

    def call(self, action: Callable[[], T]) -> T:
        """Run `action` on the gateway's own thread, where `inner` may be used, and return its result."""
        return self._thread.call(action)


class _News:
    """Records that a message passed between the gateway and a client."""

    def __init__(self) -> None:
        self.heard_any = threading.Event()

    def client_sent(self, peer: Peer, payload: bytes) -> None:
        """Record it."""
        del peer, payload
        self.heard_any.set()

    def gateway_sent(self, peer: Peer, frames: bytes) -> None:
        """Record it."""
        del peer, frames
        self.heard_any.set()

    def disconnected(self, peer: Peer, *, by_client: bool) -> None:
        """Record it."""
        del peer, by_client
        self.heard_any.set()


def _clock(wanted: str | float) -> Clock:
    if wanted == "real":
        return SystemClock()
    if wanted == "stepped":
        return ManualClock(int(STEPPED_START.timestamp()) * SECOND)
    if not isinstance(wanted, str) and 0 < wanted < float("inf"):
        return ScaledClock(time.time_ns(), wanted)
    raise ConfigError(f'the marker gateway takes clock="real", clock="stepped" or a speed above 0, got {wanted!r}')


def _answers(order: SeenOrder, wanted: dict[str, object]) -> bool:
    return all(getattr(order, name) == value for name, value in wanted.items())


def _worded(wanted: dict[str, object]) -> str:
    return ", ".join(f"{name} {value}" for name, value in wanted.items())


def _listed(names: Sequence[str] | set[str]) -> str:
    return ", ".join(sorted(names))
