"""A proxy that changes no byte, a recording that reveals no account, and a playback that answers as recorded."""

from __future__ import annotations

import asyncio
import stat
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import ib_async as ib
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ibdesk.clock import ManualClock
from ibdesk.errors import ConfigError, DataError
from ibdesk.gateway import Gateway
from ibdesk.gateway.protocol.codec import encode
from ibdesk.gateway.protocol.framing import frame, split
from ibdesk.gateway.protocol.incoming import INCOMING
from ibdesk.gateway.proxy import ConversationRecorder, Playback, Proxy, read_conversation
from ibdesk.gateway.proxy.mask import AccountMask
from ibdesk.gateway.proxy.matching import IdTranslation

SECONDS = 5.0
ACCOUNT = "DU7654321"


@pytest.fixture
async def gateway(market: Any) -> AsyncIterator[Gateway]:
    async with Gateway(market=market, clock=ManualClock(1_776_088_800_000_000_000), account=ACCOUNT) as running:
        yield running


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "conversation.jsonl"


@pytest.fixture
def recorder(path: Path) -> Iterator[ConversationRecorder]:
    recorder = ConversationRecorder(path, time.monotonic_ns)
    yield recorder
    recorder.close()


@pytest.fixture
async def proxy(gateway: Gateway, recorder: ConversationRecorder) -> AsyncIterator[Proxy]:
    async with Proxy((gateway.host, gateway.port), listener=recorder) as running:
        yield running


async def story(port: int, *, client_id: int = 3, skips_ids: int = 0) -> tuple[Any, ...]:
    """Return the results of a client that looks up AAPL, buys 100 of it and leaves a limit order."""
    client = ib.IB()
    await client.connectAsync("127.0.0.1", port, clientId=client_id, timeout=SECONDS, raiseSyncErrors=True)
    for _ in range(skips_ids):
        client.client.getReqId()
    details = await client.reqContractDetailsAsync(ib.Stock("AAPL", "SMART", "USD"))
    contract = details[0].contract
    assert contract is not None
    bought = client.placeOrder(contract, ib.MarketOrder("BUY", 100))
    resting = client.placeOrder(contract, ib.LimitOrder("BUY", 7, 50))
    async with asyncio.timeout(SECONDS):
        while not (bought.isDone() and bought.fills and resting.orderStatus.status == "Submitted"):
            await client.updateEvent
    learned = (
        [detail.longName for detail in details],
        contract,
        client.managedAccounts(),
        [(fill.execution.execId, fill.execution.price, fill.execution.acctNumber) for fill in bought.fills],
        [(trade.orderStatus.status, trade.order.totalQuantity, trade.order.account) for trade in client.trades()],
    )
    client.disconnect()
    return learned


def masked(learned: tuple[Any, ...]) -> str:
    """Return the same in text, with the account under the mask's first name."""
    return repr(learned).replace(ACCOUNT, "DU9000001")


async def test_a_client_trades_through_the_proxy_and_a_playback_answers_a_new_client_alike(
    proxy: Proxy, recorder: ConversationRecorder, path: Path
) -> None:
    learned = await story(proxy.port)
    await proxy.stop()
    recorder.close()

    async with Playback(read_conversation(path)) as playback:
        again = await story(playback.port)

    assert learned[2] == [ACCOUNT]
    assert len(learned[3]) == 1
    assert repr(again) == masked(learned)
    assert playback.differences == []


async def test_ids_that_a_program_numbers_otherwise_are_carried_over(
    proxy: Proxy, recorder: ConversationRecorder, path: Path
) -> None:
    learned = await story(proxy.port)
    await proxy.stop()
    recorder.close()

    async with Playback(read_conversation(path)) as playback:
        # Another client id, and every request and order id greater by five.
        again = await story(playback.port, client_id=8, skips_ids=5)

    assert repr(again) == masked(learned)


async def test_another_order_than_the_recorded_one_is_reported_in_words_and_the_client_disconnected(
    proxy: Proxy, recorder: ConversationRecorder, path: Path
) -> None:
    await story(proxy.port)
    await proxy.stop()
    recorder.close()

    async with Playback(read_conversation(path)) as playback:
        client = ib.IB()
        await client.connectAsync("127.0.0.1", playback.port, clientId=3, timeout=SECONDS, raiseSyncErrors=True)
        [details] = await client.reqContractDetailsAsync(ib.Stock("AAPL", "SMART", "USD"))
        assert details.contract is not None
        gone = asyncio.Event()
        client.disconnectedEvent += gone.set
        client.placeOrder(details.contract, ib.MarketOrder("BUY", 200))
        async with asyncio.timeout(SECONDS):
            await gone.wait()

    [difference] = playback.differences
    assert "client 3 sent placeOrder" in difference
    assert "BUY 200 AAPL STK SMART MKT" in difference.partition("but the recording has")[0]
    assert "BUY 100 AAPL STK SMART MKT" in difference.partition("but the recording has")[2]


def _file(path: Path) -> tuple[str, int]:
    return path.read_text(), stat.S_IMODE(path.stat().st_mode)


async def test_a_recording_holds_every_message_and_no_account(
    proxy: Proxy, recorder: ConversationRecorder, path: Path
) -> None:
    await story(proxy.port)
    await proxy.stop()
    recorder.close()

    text, mode = _file(path)
    [link] = read_conversation(path).links
    names = [
        INCOMING[int(entry.fields[0])].name for entry in link.entries if entry.by.value == "client" and entry.fields
    ]
    assert ACCOUNT not in text
    # Accounts are in fields of their own and, in openOrder, between slashes: permId.0/DU9000001/100.
    assert '"DU9000001"' in text
    assert "/DU9000001/100" in text
    assert (names[0], names.count("placeOrder"), names.count("reqContractDetails")) == ("startApi", 2, 1)
    assert (link.client_id, link.version) == (3, 178)
    assert link.entries[-1].ended
    assert mode == 0o600


async def test_the_proxy_forwards_bytes_that_are_not_a_message(tmp_path: Path) -> None:
    heard = bytearray()

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(1000):
            heard.extend(data)
            writer.write(data[::-1])
        writer.close()

    recorder = ConversationRecorder(tmp_path / "nothing.jsonl", lambda: 0)
    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    async with server, Proxy(server.sockets[0].getsockname()[:2], listener=recorder) as proxy:
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        # A frame of 4 GB is announced, in both directions.
        for data in (b"GET / HTTP/1.1\r\n\r\n", b"\xff" * 50):
            writer.write(data)
            async with asyncio.timeout(SECONDS):
                assert await reader.readexactly(len(data)) == data[::-1]
        writer.close()
        await writer.wait_closed()
    recorder.close()

    assert bytes(heard) == b"GET / HTTP/1.1\r\n\r\n" + b"\xff" * 50


async def test_a_client_is_hung_up_on_when_there_is_no_tws(tmp_path: Path) -> None:
    recorder = ConversationRecorder(tmp_path / "nothing.jsonl", lambda: 0)
    server = await asyncio.start_server(lambda _reader, writer: writer.close(), "127.0.0.1", 0)
    address = server.sockets[0].getsockname()[:2]
    server.close()
    await server.wait_closed()

    async with Proxy(address, listener=recorder) as proxy:
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        async with asyncio.timeout(SECONDS):
            assert await reader.read() == b""
        writer.close()
        await writer.wait_closed()
    recorder.close()


async def test_binary_messages_are_passed_on_and_kept_as_their_length_only(tmp_path: Path) -> None:
    greeting = frame(b"203\00020260413 10:00:00 EST\0")
    secret = (203).to_bytes(4, "big") + b"\x0a\x09U12345678\0"

    async def tws(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(4 + 4 + len(b"v157..222"))
        writer.write(greeting + frame(secret))
        await reader.read()
        writer.close()

    recorder = ConversationRecorder(tmp_path / "binary.jsonl", lambda: 0)
    server = await asyncio.start_server(tws, "127.0.0.1", 0)
    async with server, Proxy(server.sockets[0].getsockname()[:2], listener=recorder) as proxy:
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        writer.write(b"API\0" + frame(b"v157..222"))
        async with asyncio.timeout(SECONDS):
            await reader.readexactly(len(greeting))
            assert await reader.readexactly(4 + len(secret)) == frame(secret)
        writer.close()
        await writer.wait_closed()
    recorder.close()

    text = (tmp_path / "binary.jsonl").read_text()
    assert "12345678" not in text
    assert f'"binary":{len(secret)}' in text
    with pytest.raises(DataError, match="no connection that went as far as startApi in the text protocol"):
        read_conversation(tmp_path / "binary.jsonl")


async def test_the_gateways_own_conversations_can_be_recorded(
    market: Any, path: Path, recorder: ConversationRecorder
) -> None:
    clock = ManualClock(1_776_088_800_000_000_000)
    async with Gateway(market=market, clock=clock, listener=recorder) as gateway:
        learned = await story(gateway.port)
    recorder.close()

    async with Playback(read_conversation(path)) as playback:
        assert await story(playback.port) == learned


async def test_a_playback_keeps_the_recorded_times_when_asked(tmp_path: Path) -> None:
    path = tmp_path / "slow.jsonl"
    lines: list[dict[str, Any]] = [
        {"format": "ibdesk conversation", "version": 1},
        {"at": 0.0, "link": 1, "by": "client", "text": "v157..178"},
        {"at": 0.0, "link": 1, "by": "tws", "fields": ["178", "20260413 10:00:00 EST"]},
        {"at": 0.0, "link": 1, "by": "client", "fields": ["71", "2", "1", ""]},
        {"at": 0.3, "link": 1, "by": "tws", "fields": ["15", "1", "DU9000001"]},
    ]
    path.write_bytes(b"\n".join(map(msgspec.json.encode, lines)) + b"\n")
    loop = asyncio.get_running_loop()

    async with Playback(read_conversation(path), timed=True) as playback:
        reader, writer = await asyncio.open_connection("127.0.0.1", playback.port)
        writer.write(b"API\0" + frame(b"v157..178"))
        await reader.readexactly(4 + 26)
        asked = loop.time()
        writer.write(encode(INCOMING[71], {"version": 2, "clientId": 1}, 178))
        async with asyncio.timeout(SECONDS):
            assert await reader.readexactly(4 + 15) == frame(b"15\x001\x00DU9000001\x00")
        waited = loop.time() - asked
        writer.close()
        await writer.wait_closed()

    assert waited >= 0.3


async def test_a_client_of_other_versions_than_recorded_is_refused(
    proxy: Proxy, recorder: ConversationRecorder, path: Path
) -> None:
    await story(proxy.port)
    await proxy.stop()
    recorder.close()

    async with Playback(read_conversation(path)) as playback:
        reader, writer = await asyncio.open_connection("127.0.0.1", playback.port)
        writer.write(b"API\0" + frame(b"v157..170"))
        async with asyncio.timeout(SECONDS):
            assert await reader.read() == b""
        writer.close()
        await writer.wait_closed()

    assert playback.differences == ["client ? speaks versions 157..170, the recording is of version 178"]


def test_an_id_stands_for_one_recorded_id_and_no_other() -> None:
    def cancels(order_id: int) -> list[str]:
        return split(encode(INCOMING[4], {"version": 1, "orderId": order_id}, 178)[4:])

    ids = IdTranslation()

    assert ids.agree(cancels(5), cancels(10), 178)
    assert ids.agree(cancels(5), cancels(10), 178)
    # Recorded order 5 is the client's 10 now: not 11; and 10 is not another recorded order as well.
    assert not ids.agree(cancels(5), cancels(11), 178)
    assert not ids.agree(cancels(6), cancels(10), 178)
    assert ids.agree(cancels(6), cancels(11), 178)


def test_a_recording_is_never_overwritten(tmp_path: Path) -> None:
    (tmp_path / "kept").write_text("dear")

    with pytest.raises(ConfigError, match="the file exists already"):
        ConversationRecorder(tmp_path / "kept", lambda: 0)

    assert (tmp_path / "kept").read_text() == "dear"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "holds no connection"),
        ("hello\n", "line 1: this is not a line of a recording"),
        ('{"format":"diary","version":1}\n', "it is a diary"),
        ('{"format":"ibdesk conversation","version":1}\n{"at":"noon"}\n', "line 2: this is not a line of a recording"),
    ],
)
def test_a_file_that_is_not_a_recording_is_reported(path: Path, text: str, sentence: str) -> None:
    path.write_text(text)

    with pytest.raises(DataError, match=sentence):
        read_conversation(path)


def test_an_account_has_one_name_everywhere() -> None:
    mask = AccountMask()
    mask.learn(["U7654321", "DF123456", "specialA"])

    assert mask.masked("1234.0/U7654321/100") == "1234.0/DU9000001/100"
    assert mask.masked("U7654321,DF123456,") == "DU9000001,DU9000002,"
    assert mask.masked("ref of specialA") == "ref of DU9000003"
    # An account that TWS has not listed is recognized by its format.
    assert mask.masked("DU1112223") == "DU9000004"
    for innocent in ("265598", "AAPL", "ESZ6", "0000e0d5.6a1b2c3d.01.01", "U1", "20260413", "US0378331005"):
        assert mask.masked(innocent) == innocent


@given(st.lists(st.from_regex(r"D?U[0-9]{7}", fullmatch=True), min_size=1, max_size=20))
def test_two_accounts_never_share_a_name(accounts: list[str]) -> None:
    mask = AccountMask()

    names = [mask.masked(account) for account in accounts]

    assert len(set(names)) == len(set(accounts))
    assert [mask.masked(account) for account in accounts] == names
