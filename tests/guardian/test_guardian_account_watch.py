"""The guardian's side of a connection to a TWS that says word for word what a test wants."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest_asyncio

from ibdesk.gateway.protocol.codec import Fields, Value, decode, encode
from ibdesk.gateway.protocol.framing import FrameReader, frame, integer, split
from ibdesk.gateway.protocol.greeting import GREETING
from ibdesk.gateway.protocol.incoming import INCOMING
from ibdesk.gateway.protocol.outgoing import OUTGOING
from ibdesk.guardian.account_watch import AccountWatch
from ibdesk.guardian.config import GuardianConfig
from ibdesk.guardian.decisions import Rules
from ibdesk.guardian.plan import CancelEverything, Reduce

VERSION = 178
AAPL: dict[str, Value] = {"conId": 265598, "symbol": "AAPL", "secType": "STK", "exchange": "SMART", "currency": "USD"}
_ANSWERS = {message.name: message for message in OUTGOING.values()}


class WrittenTws:
    """A TWS that greets, and then says what `say` is told; `heard` are the requests, by name."""

    def __init__(self) -> None:
        self.heard: asyncio.Queue[tuple[str, Fields]] = asyncio.Queue()
        self.connections = 0
        self.port = 0
        self._writer: asyncio.StreamWriter | None = None
        self._conversations: set[asyncio.Task[None] | None] = set()

    async def close(self) -> None:
        """End all conversations."""
        if self._writer is not None:
            self._writer.transport.abort()
        await asyncio.gather(*(task for task in self._conversations if task is not None))

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._writer = writer
        self._conversations.add(asyncio.current_task())
        await reader.readexactly(len(GREETING))
        frames, is_greeted = FrameReader(1 << 20), False
        with contextlib.suppress(OSError), contextlib.closing(writer):
            while data := await reader.read(65536):
                for payload in frames.feed(data):
                    if is_greeted:
                        self._hear(split(payload))
                    else:
                        is_greeted = True
                        writer.write(frame(f"{VERSION}\0today\0".encode()))

    def say(self, name: str, **values: Value) -> None:
        """Send one message."""
        assert self._writer is not None
        self._writer.write(encode(_ANSWERS[name], values, VERSION))

    async def until(self, name: str) -> Fields:
        """Wait until a request comes, and return it."""
        async with asyncio.timeout(20):
            while True:
                heard, found = await self.heard.get()
                if heard == name:
                    return found

    def _hear(self, texts: list[str]) -> None:
        message = INCOMING[integer(texts[0]) or 0]
        if message.name == "startApi":
            self.say("managedAccounts", accounts="DU1")
            self.say("nextValidId", orderId=10)
        self.heard.put_nowait((message.name, Fields(message.name, decode(message, texts, VERSION))))


class Heard:
    """What the guardian's stops hear; number 12 is an order of theirs."""

    def __init__(self) -> None:
        self.said: list[tuple[Any, ...]] = []

    def reference_of(self, order_id: int) -> str | None:
        return "guardian-h-1-1.1" if order_id == 12 else None

    def refused(self, reference: str, text: str, *, at_once: bool) -> None:
        self.said.append(("refused", reference, at_once))

    def reported(self, reference: str, filled: float, *, is_over: bool) -> None:
        self.said.append(("reported", reference, filled, is_over))

    def ended(self, reference: str, *, is_filled: bool, was_found: bool) -> None:
        self.said.append(("ended", reference, is_filled, was_found))

    def not_found(self, order_id: int) -> None:
        self.said.append(("not found", order_id))


class Guarded:
    """An account watch at a written TWS."""

    def __init__(self, tws: WrittenTws, folder: Path) -> None:
        self.tws, self.heard = tws, Heard()
        self.alerts: list[str] = []
        config = GuardianConfig(
            mode="paper", state_folder=folder, desk_socket=folder / "d.sock", host="127.0.0.1", port=tws.port,
            client_id=90, account="DU1", rules=Rules(),
        )  # fmt: skip
        self.watch = AccountWatch(
            config,
            address=lambda: (config.host, config.port),
            is_ours=lambda accounts: accounts[0],
            stops=self.heard,
            changed=lambda _why: None,
            alert=self.alerts.append,
        )

    async def passed(self) -> None:
        """Wait until it has taken all that TWS has said so far."""
        self.tws.say("pnl", reqId=1, dailyPnL=float(self.watch.view.pnl_reports))
        before = self.watch.view.pnl_reports
        async with asyncio.timeout(20):
            while True:
                if self.watch.view.pnl_reports > before:
                    return
                await asyncio.sleep(0.01)


@pytest_asyncio.fixture
async def guarded(tmp_path: Path) -> AsyncIterator[Guarded]:
    """An account watch that is connected."""
    tws = WrittenTws()
    server = await asyncio.start_server(tws.serve, "127.0.0.1", 0)
    tws.port = server.sockets[0].getsockname()[1]
    made = Guarded(tws, tmp_path)
    running = asyncio.create_task(made.watch.run())
    await made.watch.up.wait()
    yield made
    running.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await running
    server.close()
    await tws.close()


async def test_an_answer_that_comes_too_late_is_not_taken_for_that_of_the_next_look(guarded: Guarded) -> None:
    """The first look gets no answer in time; the answer of then says 100 and an order, that of now 40 and none."""
    tws = guarded.tws
    assert await guarded.watch.look() is None
    looking = asyncio.create_task(guarded.watch.look())
    first = (await tws.until("reqExecutions")).required("reqId")
    second = (await tws.until("reqExecutions")).required("reqId")
    tws.say("openOrder", **AAPL, orderId=5, clientId=1, permId=77, action="SELL", totalQuantity=100, account="DU1",
            status="Submitted")  # fmt: skip
    tws.say("openOrderEnd")
    tws.say("execDetailsEnd", reqId=first)
    tws.say("position", **AAPL, account="DU1", position=100)
    tws.say("positionEnd")
    tws.say("openOrderEnd")
    tws.say("execDetailsEnd", reqId=second)
    await guarded.passed()
    tws.say("position", **AAPL, account="DU1", position=40)
    tws.say("positionEnd")

    look = await looking

    assert look is not None
    assert (look.holdings, look.orders) == ({265598: 40.0}, ())


async def test_an_answer_without_an_end_costs_two_looks_and_no_connection(guarded: Guarded) -> None:
    tws, looks = guarded.tws, []
    for number in range(3):
        looking = asyncio.create_task(guarded.watch.look())
        request = (await tws.until("reqExecutions")).required("reqId")
        tws.say("openOrderEnd")
        tws.say("execDetailsEnd", reqId=request)
        tws.say("position", **AAPL, account="DU1", position=40)
        if number:
            tws.say("positionEnd")
        looks.append(await looking)

    assert [look is not None for look in looks] == [False, False, True]
    assert tws.connections == 1


async def test_a_number_that_is_taken_has_tws_asked_for_the_next_one(guarded: Guarded) -> None:
    guarded.tws.say("errMsg", id=12, errorCode=103, errorMsg="Duplicate order id")
    await guarded.tws.until("reqIds")
    guarded.tws.say("nextValidId", orderId=900)
    await guarded.passed()

    assert guarded.heard.said == [("refused", "guardian-h-1-1.1", True)]
    assert guarded.watch.new_order_id() == 900


async def test_the_next_number_is_above_all_that_tws_has_named(guarded: Guarded) -> None:
    """10 by nextValidId, 700 by another client's order; each number is given once."""
    guarded.tws.say("openOrder", **AAPL, orderId=700, clientId=3, permId=77, action="SELL", totalQuantity=100,
                    account="DU1", status="Submitted")  # fmt: skip
    await guarded.passed()

    assert [guarded.watch.new_order_id() for _ in range(2)] == [701, 702]


async def test_answers_to_cancels_say_whether_an_order_may_still_be_filled(guarded: Guarded) -> None:
    for number, code, text in (
        (12, 202, "Order Canceled - reason:"),
        (12, 10147, "OrderId 12 that needs to be cancelled is not found."),
        (12, 10148, "OrderId 12 that needs to be cancelled cannot be cancelled, state: Filled."),
        (12, 10148, "OrderId 12 that needs to be cancelled cannot be cancelled, state: PendingCancel."),
        (13, 10147, "OrderId 13 that needs to be cancelled is not found."),
        (12, 399, "Order message: it will not be placed until 09:30"),
    ):
        guarded.tws.say("errMsg", id=number, errorCode=code, errorMsg=text)
    await guarded.passed()

    reference = "guardian-h-1-1.1"
    assert guarded.heard.said == [
        ("ended", reference, False, True), ("ended", reference, False, False), ("ended", reference, True, True),
        ("not found", 13),
    ]  # fmt: skip


async def test_the_status_of_an_order_says_what_was_filled_though_it_names_the_client_that_has_cancelled(
    guarded: Guarded,
) -> None:
    """Order 12 of client 1 was cancelled by this client, and its status has this client's id: ours has another."""
    ours: dict[str, Value] = {**AAPL, "orderId": 12, "clientId": 90, "permId": 77, "orderRef": "guardian-h-1-1.1"}
    other: dict[str, Value] = {**AAPL, "orderId": 12, "clientId": 1, "permId": 78, "orderRef": "Cross-abc.1"}
    for order in (ours, other):
        guarded.tws.say("openOrder", **order, action="SELL", totalQuantity=100, account="DU1", status="Submitted")
    guarded.tws.say("orderStatus", orderId=12, clientId=90, permId=78, status="Cancelled", filled=0, remaining=100)
    guarded.tws.say("orderStatus", orderId=12, clientId=90, permId=77, status="Submitted", filled=60, remaining=40)
    guarded.tws.say("orderStatus", orderId=12, clientId=90, permId=77, status="Filled", filled=100, remaining=0)
    await guarded.passed()

    assert guarded.heard.said == [
        ("reported", "guardian-h-1-1.1", 60.0, False), ("reported", "guardian-h-1-1.1", 100.0, True),
    ]  # fmt: skip


async def test_subscriptions_that_tws_has_lost_are_renewed(guarded: Guarded) -> None:
    """After 1101 the profit would not come any more; reports are counted on, so that none looks like one of before."""
    await guarded.passed()
    reports = guarded.watch.view.pnl_reports
    guarded.tws.say("errMsg", id=-1, errorCode=1100, errorMsg="Connectivity between IB and TWS has been lost")
    await guarded.passed()
    lost = list(guarded.alerts)
    while not guarded.tws.heard.empty():
        guarded.tws.heard.get_nowait()

    guarded.tws.say("errMsg", id=-1, errorCode=1101, errorMsg="Connectivity restored, data lost")

    await guarded.tws.until("reqPnL")
    assert guarded.tws.connections == 2
    assert ["TWS has lost its connection to IB" in text for text in lost] == [True]
    assert guarded.watch.view.pnl_reports > reports


async def test_while_tws_is_away_no_number_is_given_and_nothing_leaves(tmp_path: Path) -> None:
    watch = Guarded(WrittenTws(), tmp_path).watch

    watch.do(CancelEverything())
    watch.do(Reduce("guardian-h-1-1.1", 265598, -1.0), order_id=1)

    assert watch.new_order_id() == 0
