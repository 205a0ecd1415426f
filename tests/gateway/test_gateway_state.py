"""The state file of a gateway: everything that a client was told before a restart is reported again after it."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import os
import shutil
import signal
import sqlite3
import stat
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ibdesk.clock import ManualClock
from ibdesk.errors import AddressInUseError, ConfigError
from ibdesk.exchange import NoCommission
from ibdesk.gateway import Gateway, Replay
from ibdesk.gateway.protocol.codec import Value
from ibdesk.model import nanoseconds

if TYPE_CHECKING:
    from tests.gateway.conftest import MakeBars, MakeWire, Wire

OPENED_AT = dt.datetime(2026, 4, 13, 14, 0, tzinfo=dt.UTC)
AAPL: dict[str, Value] = {"symbol": "AAPL", "secType": "STK", "exchange": "SMART", "currency": "USD"}
EURUSD: dict[str, Value] = {"symbol": "EUR", "secType": "CASH", "exchange": "IDEALPRO", "currency": "USD"}
BUY: dict[str, Value] = {"action": "BUY", "totalQuantity": 100, "transmit": 1}
SELL: dict[str, Value] = {"action": "SELL", "totalQuantity": 100, "transmit": 1}
Rows = list[tuple[str, dict[str, str]]]
Run = Callable[..., Gateway]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "gateway.json"


@pytest.fixture
def run(make_bars: MakeBars, file: Path) -> Run:
    """Makes gateways with one state file; AAPL is at 100.00, at 90.00 after 20 s and at 110.00 after 40 s."""

    def make(*, started_at: dt.datetime = OPENED_AT, **options: Any) -> Gateway:
        prices = [100.0] * 5 + [90.0] * 4 + [110.0] * 4
        rows = {"AAPL": [(price,) * 4 + (1000.0,) for price in prices], "EUR.USD": [(1.2,) * 4 + (0.0,)] * 13}
        market = Replay(make_bars(rows, step=dt.timedelta(seconds=5)), start=1)
        options = {"state": file, "commissions": NoCommission(), **options}
        return Gateway(market=market, clock=ManualClock(nanoseconds(started_at)), **options)

    return make


async def enter(dial: MakeWire, gateway: Gateway, client_id: int = 9) -> Wire:
    """Return a client that has read its first messages."""
    wire = await dial(client_id, port=gateway.port)
    await told(wire)
    return wire


async def told(wire: Wire) -> Rows:
    """Return all messages so far."""
    wire.send(49)
    return (await wire.until("currentTime"))[:-1]


async def place(wire: Wire, order_id: int, contract: dict[str, Value], **terms: Value) -> Rows:
    """Send an order and return the reports about it."""
    wire.send(3, orderId=order_id, **{"orderType": "MKT", **contract, **terms})
    return await told(wire)


async def known(wire: Wire) -> dict[str, Rows]:
    """Return the answers to all requests about the past: orders, executions, positions, the account."""
    answers: dict[str, Rows] = {}
    for end, number, query in (
        ("openOrderEnd", 16, {}),
        ("execDetailsEnd", 7, {"version": 3, "reqId": 1}),
        ("completedOrdersEnd", 99, {"apiOnly": 0}),
        ("positionEnd", 61, {}),
        ("accountUpdateMultiEnd", 76, {"reqId": 2, "account": "All"}),
        ("nextValidId", 8, {"numIds": 1}),
    ):
        wire.send(number, **query)
        answers[end] = await wire.until(end)
    return answers


def statuses(rows: Rows) -> dict[str, str]:
    """Return the last status of each order."""
    return {texts["orderId"]: texts["status"] for name, texts in rows if name == "orderStatus"}


async def test_everything_a_client_can_ask_is_answered_as_before(run: Run, dial: MakeWire) -> None:
    async with run() as gateway:
        wire = await enter(dial, gateway)
        await place(wire, 1, AAPL, **BUY)
        await place(wire, 2, EURUSD, **BUY)
        await place(wire, 3, AAPL, **BUY, orderType="LMT", lmtPrice=85.0, tif="GTC", orderRef="mine")
        await place(wire, 4, AAPL, **SELL, orderType="STP", auxPrice=80.0)
        await place(wire, 5, AAPL, **BUY, orderType="LMT", lmtPrice=70.0)
        wire.send(4, orderId=5)
        await told(wire)
        before = await known(wire)

    async with run() as gateway:
        after = await known(await enter(dial, gateway))

    assert [name for name, _ in before["openOrderEnd"]].count("openOrder") == 2
    assert [name for name, _ in before["execDetailsEnd"]].count("execDetails") == 2
    assert [name for name, _ in before["completedOrdersEnd"]].count("completedOrder") == 3
    for question, answer in before.items():
        assert after[question] == answer, question


async def test_open_orders_are_worked_on_after_a_restart(run: Run, dial: MakeWire) -> None:
    async with run() as gateway:
        wire = await enter(dial, gateway)
        await place(wire, 1, AAPL, **BUY, orderType="LMT", lmtPrice=95.0)
        await place(wire, 2, AAPL, **BUY, orderType="STP", auxPrice=105.0)

    async with run() as gateway:
        wire = await enter(dial, gateway)
        gateway.advance(20)
        assert statuses(await told(wire)) == {"1": "Filled"}
        gateway.advance(20)
        rows = await told(wire)

        assert statuses(rows) == {"2": "Filled"}
        assert [texts["orderId"] for name, texts in rows if name == "execDetails"] == ["2"]


async def test_an_order_that_waits_binds_margin_after_a_restart_too(run: Run, dial: MakeWire) -> None:
    # Each needs half of 30,000 x 50.00 = 750,000 of the one million, so there cannot be two.
    large = {**BUY, "totalQuantity": 30_000, "orderType": "LMT", "lmtPrice": 50.0, "tif": "GTC"}
    async with run() as gateway:
        wire = await enter(dial, gateway)
        rows = await place(wire, 1, AAPL, **large, goodAfterTime="20260414-14:00:00")
        assert statuses(rows) == {"1": "PreSubmitted"}

    async with run() as gateway:
        wire = await enter(dial, gateway)
        rows = await place(wire, 2, AAPL, **large)

        assert [texts["errorCode"] for name, texts in rows if name == "errMsg"] == ["201"]


async def test_ids_continue_where_they_were(run: Run, dial: MakeWire) -> None:
    executions: list[str] = []
    permanent: list[int] = []
    for order_id in (7, 8):
        async with run() as gateway:
            wire = await enter(dial, gateway)
            rows = await place(wire, order_id, AAPL, **BUY)
            executions += [texts["execId"] for name, texts in rows if name == "execDetails"]
            permanent += [int(texts["permId"]) for name, texts in rows if name == "execDetails"]

    async with run() as gateway:
        wire = await enter(dial, gateway)
        reused = await place(wire, 8, AAPL, **BUY, lmtPrice=1.0, orderType="LMT")
        assert [texts["errorCode"] for name, texts in reused if name == "errMsg"] == ["104"]
        wire.send(8, numIds=1)
        assert (await wire.until("nextValidId"))[-1][1]["orderId"] == "9"

    # Both runs begin at the same time with the same seed; ids still differ.
    assert len(set(executions)) == 2
    assert permanent[0] < permanent[1]


async def test_a_bracket_stays_one(run: Run, dial: MakeWire) -> None:
    async with run() as gateway:
        wire = await enter(dial, gateway)
        await place(wire, 1, AAPL, **{**BUY, "transmit": 0}, orderType="LMT", lmtPrice=95.0)
        await place(wire, 2, AAPL, **{**SELL, "transmit": 0}, orderType="LMT", lmtPrice=108.0, parentId=1)
        await place(wire, 3, AAPL, **SELL, orderType="STP", auxPrice=50.0, parentId=1)

    # The parent fills in the second run, and a child in the third, which cancels its sibling.
    async with run() as gateway:
        wire = await enter(dial, gateway)
        gateway.advance(20)
        assert statuses(await told(wire)) == {"1": "Filled", "2": "Submitted", "3": "PreSubmitted"}
    async with run(started_at=OPENED_AT + dt.timedelta(seconds=30)) as gateway:
        wire = await enter(dial, gateway)
        gateway.advance(45)

        assert statuses(await told(wire)) == {"2": "Filled", "3": "Cancelled"}
        assert not gateway.accounts.main.holdings["AAPL"].position.quantity


async def test_a_group_that_was_not_transmitted_still_waits(run: Run, dial: MakeWire) -> None:
    async with run() as gateway:
        wire = await enter(dial, gateway)
        assert await place(wire, 1, AAPL, **{**BUY, "transmit": 0}) == []

    async with run() as gateway:
        wire = await enter(dial, gateway)
        assert (await known(wire))["openOrderEnd"] == [("openOrderEnd", {"version": "1"})]
        rows = await place(wire, 2, AAPL, **SELL, orderType="LMT", lmtPrice=120.0, parentId=1)

        assert statuses(rows)["1"] == "Filled"


async def test_an_option_is_held_and_quoted_on(run: Run, dial: MakeWire) -> None:
    async with run() as gateway:
        wire = await enter(dial, gateway)
        share = gateway.contracts.named("AAPL")
        assert share is not None
        chain = gateway.contracts.chain(share)
        assert chain is not None
        option: dict[str, Value] = {"conId": chain.options[len(chain.options) // 2].con_id, "exchange": "SMART"}
        gateway.advance(1)
        bought = await place(wire, 1, option, **{**BUY, "totalQuantity": 1})
        assert statuses(bought) == {"1": "Filled"}
        await place(wire, 2, option, **{**SELL, "totalQuantity": 1}, orderType="LMT", lmtPrice=500.0)
        before = (await known(wire))["positionEnd"]

    async with run() as gateway:
        wire = await enter(dial, gateway)
        answers = await known(wire)
        assert answers["positionEnd"] == before
        assert statuses(answers["openOrderEnd"]) == {"2": "Submitted"}
        gateway.advance(1)
        assert statuses(await place(wire, 3, option, **{**SELL, "totalQuantity": 1})) == {"3": "Filled"}


async def test_a_stop_limit_that_was_triggered_rests_at_its_limit(run: Run, dial: MakeWire) -> None:
    async with run() as gateway:
        wire = await enter(dial, gateway)
        await place(wire, 1, AAPL, **SELL, orderType="STP LMT", auxPrice=95.0, lmtPrice=94.0)
        # The market falls from 100.00 to 90.00: the stop is reached and the limit is not.
        gateway.advance(20)
        assert statuses(await told(wire)) == {"1": "Submitted"}

    async with run(started_at=OPENED_AT + dt.timedelta(seconds=30)) as gateway:
        answers = await known(await enter(dial, gateway))

    # The market is back at 100.00, bid 99.99: a limit of 94.00 sells there, a stop at 95.00 would wait.
    assert [texts["price"] for name, texts in answers["execDetailsEnd"] if name == "execDetails"] == ["99.99"]


async def test_executions_of_another_day_are_forgotten_and_positions_are_not(run: Run, dial: MakeWire) -> None:
    async with run() as gateway:
        await place(await enter(dial, gateway), 1, AAPL, **BUY)

    async with run(started_at=OPENED_AT + dt.timedelta(days=1)) as gateway:
        answers = await known(await enter(dial, gateway))

    assert [name for name, _ in answers["execDetailsEnd"]] == ["execDetailsEnd"]
    assert [name for name, _ in answers["completedOrdersEnd"]] == ["completedOrdersEnd"]
    assert [texts["position"] for name, texts in answers["positionEnd"] if name == "position"] == ["100"]
    assert answers["nextValidId"][-1][1]["orderId"] == "2"


async def test_a_day_order_ends_with_the_day_that_passed_meanwhile(run: Run, dial: MakeWire) -> None:
    async with run(hours="exchange") as gateway:
        wire = await enter(dial, gateway)
        await place(wire, 1, AAPL, **BUY, orderType="LMT", lmtPrice=50.0, tif="DAY")
        await place(wire, 2, AAPL, **BUY, orderType="LMT", lmtPrice=50.0, tif="GTC")

    async with run(hours="exchange", started_at=OPENED_AT + dt.timedelta(days=1)) as gateway:
        answers = await known(await enter(dial, gateway))

    assert statuses(answers["openOrderEnd"]) == {"2": "Submitted"}
    ended = [texts for name, texts in answers["completedOrdersEnd"] if name == "completedOrder"]
    assert [texts["completedStatus"] for texts in ended] == ["Cancelled by System:the trading day is over"]


async def test_a_kill_between_order_and_restart_loses_nothing(file: Path, dial: MakeWire) -> None:
    async def start() -> tuple[asyncio.subprocess.Process, int]:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", _PROGRAM, str(file), stdout=asyncio.subprocess.PIPE
        )
        assert process.stdout is not None
        async with asyncio.timeout(20):
            return process, int(await process.stdout.readline())

    process, port = await start()
    wire = await dial(9, port=port)
    wire.send(3, orderId=1, **AAPL, **BUY, orderType="LMT", lmtPrice=1.0, tif="GTC", orderRef="alive")
    wire.send(3, orderId=2, **AAPL, **BUY, orderType="MKT")
    # The process is killed when the last message arrives.
    await wire.until("commissionReport")
    os.kill(process.pid, signal.SIGKILL)
    await process.wait()

    process, port = await start()
    try:
        answers = await known(await dial(8, port=port))
        [order] = [texts for name, texts in answers["openOrderEnd"] if name == "openOrder"]
        assert (order["orderId"], order["clientId"], order["orderRef"]) == ("1", "9", "alive")
        assert [texts["orderId"] for name, texts in answers["execDetailsEnd"] if name == "execDetails"] == ["2"]
        assert [texts["position"] for name, texts in answers["positionEnd"] if name == "position"] == ["100"]
    finally:
        process.kill()
        await process.wait()


_PROGRAM = """
import asyncio, pathlib, sys
from ibdesk.gateway import GatewaySettings, run_gateway
settings = GatewaySettings(port=0, symbols=("AAPL",), state=pathlib.Path(sys.argv[1]))
asyncio.run(run_gateway(settings, lambda gateway: print(gateway.port, flush=True)))
"""


def modes(file: Path) -> dict[str, int]:
    return {each.name: stat.S_IMODE(each.stat().st_mode) for each in file.parent.iterdir()}


async def test_the_file_is_for_its_owner_only_and_one_once_the_gateway_has_stopped(
    run: Run, dial: MakeWire, file: Path
) -> None:
    async with run() as gateway:
        await place(await enter(dial, gateway), 1, AAPL, **BUY)

        assert set(modes(file).values()) == {0o600}

    assert modes(file) == {file.name: 0o600}


def kept(file: Path) -> dict[tuple[str, str], bytes]:
    """Return the rows of a state file that is not in use."""
    with contextlib.closing(sqlite3.connect(file)) as database:
        return {(kind, name): value for kind, name, value in database.execute("SELECT kind, name, value FROM kept")}


async def test_a_change_is_in_the_file_before_a_client_is_informed(
    run: Run, dial: MakeWire, file: Path, tmp_path: Path
) -> None:
    copies = tmp_path / "copies"
    copies.mkdir()
    async with run() as gateway:
        wire = await enter(dial, gateway)
        wire.send(3, orderId=1, orderType="MKT", **AAPL, **BUY)
        await wire.until("commissionReport")
        for each in (file, file.with_name(f"{file.name}-wal")):
            shutil.copy(each, copies / each.name)

    names = [kind for kind, _ in kept(copies / file.name)]
    assert (names.count("order"), names.count("execution"), names.count("holding")) == (1, 1, 1)


async def test_only_what_has_changed_is_written(run: Run, dial: MakeWire, file: Path) -> None:
    async with run() as gateway:
        wire = await enter(dial, gateway)
        for order_id in range(1, 4):
            await place(wire, order_id, AAPL, **BUY, orderType="LMT", lmtPrice=50.0, tif="GTC")
    with contextlib.closing(sqlite3.connect(file)) as database, database:
        database.execute("CREATE TABLE written (kind TEXT, name TEXT)")
        for event, row in (("INSERT", "NEW"), ("UPDATE", "NEW")):
            database.execute(
                f"CREATE TRIGGER on_{event} AFTER {event} ON kept "
                f"BEGIN INSERT INTO written VALUES ({row}.kind, {row}.name); END"
            )

    async with run() as gateway:
        wire = await enter(dial, gateway)
        wire.send(4, orderId=2)
        await told(wire)

    with contextlib.closing(sqlite3.connect(file)) as database:
        written = [kind for (kind,) in database.execute("SELECT kind FROM written")]
    # All three orders at the start, and then the one that was cancelled.
    assert written.count("order") == 4


async def test_two_gateways_cannot_keep_one_state(run: Run, dial: MakeWire, file: Path) -> None:
    async with run() as gateway:
        await place(await enter(dial, gateway), 1, AAPL, **BUY)
        with pytest.raises(ConfigError, match=r"gateway\.json is in use by another gateway: stop that one"):
            await run().start()

    async with run() as gateway:
        answers = await known(await enter(dial, gateway))
        assert [name for name, _ in answers["execDetailsEnd"]].count("execDetails") == 1


async def test_a_gateway_that_cannot_listen_lets_the_state_go_as_it_was(run: Run, dial: MakeWire) -> None:
    async with run() as gateway:
        await place(await enter(dial, gateway), 1, AAPL, **BUY)
    async with run(state=None) as other:
        with pytest.raises(AddressInUseError):
            await run(port=other.port).start()

    async with run() as gateway:
        assert (await known(await enter(dial, gateway)))["nextValidId"][-1][1]["orderId"] == "2"


def database(*statements: str) -> bytes:
    """Return a SQLite database."""
    with contextlib.closing(sqlite3.connect(":memory:")) as made:
        for statement in statements:
            made.execute(statement)
        return made.serialize()


OURS = f"PRAGMA application_id = {int.from_bytes(b'ibgw')}"
TABLE = "CREATE TABLE kept (kind TEXT, name TEXT, value BLOB)"


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", "is not a (gateway's )?state file"),
        (b"not a database", "is not a (gateway's )?state file"),
        (database("CREATE TABLE others (a)"), "is not a (gateway's )?state file"),
        (database(TABLE, OURS, "PRAGMA user_version = 2"), "has format 2 and this gateway reads format 1"),
        (database(OURS, "PRAGMA user_version = 1"), "cannot be read: no such table"),
        (
            database(TABLE, OURS, "PRAGMA user_version = 1", "INSERT INTO kept VALUES ('order', '1', zeroblob(9999))")[
                :9000
            ],
            "cannot be read",
        ),
        (
            database(TABLE, OURS, "PRAGMA user_version = 1", "INSERT INTO kept VALUES ('gateway', '', '{')"),
            "is not a (gateway's )?state file",
        ),
        (
            database(TABLE, OURS, "PRAGMA user_version = 1", "INSERT INTO kept VALUES ('order', '1', '{}')"),
            "is not a (gateway's )?state file",
        ),
    ],
)
def test_a_file_of_another_kind_stops_the_start_and_stays(run: Run, file: Path, content: bytes, complaint: str) -> None:
    file.write_bytes(content)

    with pytest.raises(ConfigError, match=rf"gateway\.state .*gateway\.json {complaint}"):
        asyncio.run(run().start())

    assert [each.name for each in file.parent.iterdir()] == [file.name]
    # A file that is ours says in its header how it was opened last.
    assert file.read_bytes()[100:] == content[100:]


def test_a_path_that_cannot_be_used_stops_the_start(run: Run, file: Path) -> None:
    file.mkdir()
    with pytest.raises(ConfigError, match=r"gateway\.state .*gateway\.json cannot be read: Is a directory"):
        asyncio.run(run().start())

    with pytest.raises(ConfigError, match=r"gateway\.state .*nowhere/state cannot be written: No such file"):
        asyncio.run(run(state=file / "nowhere" / "state").start())


async def test_a_file_with_an_account_that_the_gateway_does_not_have_stops_the_start(run: Run) -> None:
    async with run(accounts=("DU1", "DU2")):
        pass

    with pytest.raises(ConfigError, match="has account DU2, which the gateway does not have"):
        await run(accounts=("DU1", "DU3")).start()
