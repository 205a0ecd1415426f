"""The gateway on a thread and an event loop of its own, beside a program that blocks or has its own loop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import Any, Self, TypeVar

from ibdesk.gateway.faults.faults import Faults
from ibdesk.gateway.server import Gateway

T = TypeVar("T")
WAIT_SECONDS = 10.0


class GatewayThread:
    """Runs `gateway` on a daemon thread between `start` and `stop`, or inside a ``with`` block.

    The gateway's own methods belong to its thread: use `call`. Its `faults` may be used from any thread.
    """

    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    @property
    def port(self) -> int:
        """Return the listening port."""
        return self.gateway.port

    @property
    def faults(self) -> Faults:
        """Return the gateway's faults."""
        return self.gateway.faults

    def start(self) -> None:
        """Start the thread and return once the gateway listens.

        Raises:
            AddressInUseError: If the port is taken.
        """
        self._loop = loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=_keep, args=(loop,), name="ibdesk-gateway", daemon=True)
        self._thread.start()
        try:
            self._await(self.gateway.start())
        except BaseException:
            self._end()
            raise

    def stop(self) -> None:
        """Stop the gateway and its thread; further calls have no effect."""
        if self._thread is not None:
            self._await(self.gateway.stop())
            self._end()

    def call(self, action: Callable[[], T]) -> T:
        """Run `action` on the gateway's thread and return its result; ``thread.call(lambda: gw.advance(5))``."""

        async def run() -> T:
            return action()

        return self._await(run())

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _await(self, work: Coroutine[Any, Any, T]) -> T:
        assert self._loop is not None, "start the gateway's thread first"  # noqa: S101
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(WAIT_SECONDS)

    def _end(self) -> None:
        assert self._loop is not None and self._thread is not None  # noqa: S101, PT018
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(WAIT_SECONDS)
        self._thread = None


def _keep(loop: asyncio.AbstractEventLoop) -> None:
    asyncio.set_event_loop(loop)
    try:
        loop.run_forever()
    finally:
        loop.close()
