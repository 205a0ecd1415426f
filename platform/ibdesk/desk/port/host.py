"""The desk's side of the desk port: carries out clients' calls and publishes the feed over one or more transports."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.metadata
import logging
import time
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Protocol

import msgspec

from ibdesk.clock import boot_ns
from ibdesk.desk.deadline import Deadline, limited
from ibdesk.desk.handle import COMMANDS, OPERATIONS, DeskHandle
from ibdesk.desk.port.messages import (
    HEARTBEAT_SECONDS,
    Answer,
    BatchMessage,
    Call,
    Failure,
    Heartbeat,
    State,
    Welcome,
    encode,
)
from ibdesk.desk.port.values import decode_arguments, encode_value, facts_of
from ibdesk.errors import CommandExpiredError, DeskError, IbdeskError
from ibdesk.store import Feed, FeedState, Sequencer
from ibdesk.telemetry.trace import correlated

_log = logging.getLogger(__name__)

# News are collected for _REST times as long as the last sending took, and never longer than _LONGEST_REST seconds.
_REST, _LONGEST_REST = 4.0, 0.05


class PortTransport(Protocol):
    """A transport of the desk port: passes clients' calls to the host, and its answers and news to clients."""

    @property
    def is_watched(self) -> bool:
        """Whether a client of this transport follows the feed."""

    @property
    def clients(self) -> int:
        """The number of connected clients."""

    async def open(self) -> None:
        """Open the address.

        Raises:
            ConfigError: If it is not available.
        """

    async def run(self, host: PortHost) -> None:
        """Accept clients until cancelled."""

    def publish(self, data: bytes) -> None:
        """Send news to the clients that follow the feed, without waiting."""

    def send_heartbeat(self, data: bytes) -> None:
        """Send a heartbeat to clients that have received nothing else."""

    def close(self) -> None:
        """Release the address."""


class PortHost:
    """Serves one desk over its transports until `run` is cancelled."""

    def __init__(
        self, desk: DeskHandle, feed: Feed, *transports: PortTransport, may_act: Callable[[], bool] = lambda: True
    ) -> None:
        """Make a host for a desk of this process, whose feed is `feed`.

        While `may_act` returns False, because another engine may have taken over, all calls are refused.
        """
        self._desk, self._sequencer = desk, Sequencer(feed)
        self._transports: Sequence[PortTransport] = transports
        self._may_act = may_act
        self._tasks = asyncio.TaskGroup()
        self.answering = asyncio.Event()

    @property
    def clients(self) -> int:
        """Return the number of connected clients."""
        return sum(transport.clients for transport in self._transports)

    @property
    def epoch(self) -> str:
        """Return the name of this numbering of the feed."""
        return self._sequencer.epoch

    async def run(self) -> None:
        """Serve until cancelled.

        Raises:
            ConfigError: If an address is not available, for example because another desk answers there.
        """
        await self._sequencer.open()
        with contextlib.ExitStack() as stack:
            for transport in self._transports:
                await transport.open()
                stack.callback(transport.close)
            try:
                async with self._tasks as tasks:
                    for transport in self._transports:
                        tasks.create_task(transport.run(self), name=f"desk port {type(transport).__name__}")
                    tasks.create_task(self._send_heartbeats(), name="desk port heartbeat")
                    self.answering.set()
                    await self._publish_news()
            finally:
                await self._sequencer.close()

    # --- for the transports

    def welcome(self) -> bytes:
        """Return the first message to a client."""
        return encode(Welcome(program=f"ibdesk {importlib.metadata.version('ibdesk')}", epoch=self.epoch))

    def state(self, number: int = 0) -> bytes:
        """Return the state of the feed, in answer to the request with this number."""
        return encode(State(number=number, state=self._sequencer.state()))

    def take(self, call: Call, answered: Callable[[bytes], None], *, age_seconds: float | None = None) -> None:
        """Carry out a call and pass on the answer, even if the client leaves meanwhile: the call may be half done.

        `age_seconds` is the age of a call from another machine; a call from this machine carries its deadline.
        """
        deadline = _deadline_of(call, age_seconds)

        async def do() -> None:
            answered(encode(await self._answer(call, deadline)))

        self._tasks.create_task(do(), name=f"call {call.operation}")

    # --- inside

    async def _publish_news(self) -> None:
        while True:
            news = await self._sequencer.next()
            began = time.thread_time()
            watched = [transport for transport in self._transports if transport.is_watched]
            if watched:
                data = encode(
                    State(number=0, state=news) if isinstance(news, FeedState) else BatchMessage(batches=news)
                )
                for transport in watched:
                    transport.publish(data)
            await asyncio.sleep(min(_REST * (time.thread_time() - began), _LONGEST_REST))

    async def _send_heartbeats(self) -> None:
        data = encode(Heartbeat())
        while True:
            await asyncio.sleep(HEARTBEAT_SECONDS)
            for transport in self._transports:
                transport.send_heartbeat(data)

    async def _answer(self, call: Call, deadline: Deadline | None) -> Answer | Failure:
        try:
            if not self._may_act():
                raise DeskError("this engine no longer leads: another one is taking over")
            operation = OPERATIONS.get(call.operation)
            if operation is None:
                raise DeskError(f"a desk has no operation {call.operation!r}")
            arguments = decode_arguments(operation, bytes(call.arguments))
            if deadline is None and call.operation in COMMANDS:
                raise DeskError(f"the command {call.operation} came without a deadline")
            with correlated(call.correlation_id), limited(deadline):
                value = await _in_time(getattr(self._desk.aio, call.operation)(**arguments), deadline, call.operation)
            return Answer(number=call.number, value=msgspec.Raw(encode_value(value)))
        except IbdeskError as error:
            return Failure(number=call.number, error=type(error).__name__, arguments=facts_of(error), text=str(error))
        except Exception:  # noqa: BLE001 - logged, and reported as our own fault
            _log.exception("%s, asked for over the desk port, failed", call.operation)
            text = f"the desk failed at {call.operation}: see its log"
            return Failure(number=call.number, error=DeskError.__name__, arguments=[text], text=text)


def _deadline_of(call: Call, age_seconds: float | None) -> Deadline | None:
    if not call.begin_by_ns:
        return None
    if age_seconds is None:
        return Deadline(call.operation, call.begin_by_ns)
    return Deadline(call.operation, boot_ns() + int(1e9 * (call.seconds - age_seconds)))


async def _in_time(work: Coroutine[Any, Any, Any], deadline: Deadline | None, operation: str) -> Any:
    """Return the result of the work, unless its deadline passes before it has had an effect.

    Raises:
        CommandExpiredError: If the deadline passes first: the command was not carried out and never will be.
    """
    if deadline is None:
        return await work
    task = asyncio.ensure_future(work)
    done, _ = await asyncio.wait({task}, timeout=max(deadline.seconds_left, 0.0))
    if not done and deadline.give_up():
        # On the desk's loop it ends with the same error before it could take effect.
        task.add_done_callback(lambda ended: ended.cancelled() or ended.exception())
        raise CommandExpiredError(operation, 0.0)
    return await task
