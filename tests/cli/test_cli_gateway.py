"""`ibdesk gateway`: its status page, its messages in words, its recordings, and what it says of wrong options."""

from __future__ import annotations

import asyncio
import io
import re
import socket
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ib_async as ib
import pytest
from rich.console import Console

from ibdesk.cli.gateway_status import status_view
from ibdesk.cli.gateway_traffic import Traffic
from ibdesk.clock import ManualClock
from ibdesk.gateway import Gateway
from ibdesk.gateway.market.script import MarketScript
from ibdesk.statement import read_statements
from ibdesk.testing.gateway import RunningGateway

SECONDS = 10.0
Cli = Callable[..., Any]


async def trade(port: int, *, client_id: int = 4, quantity: float = 100, symbol: str = "AAPL") -> list[str]:
    """Connect, look a share up, leave a limit order far below the market; return the accounts that were told."""
    client = ib.IB()
    await client.connectAsync("127.0.0.1", port, clientId=client_id, timeout=SECONDS)
    [contract] = await client.qualifyContractsAsync(ib.Stock(symbol, "SMART", "USD"))
    assert isinstance(contract, ib.Contract)
    resting = client.placeOrder(contract, ib.LimitOrder("BUY", quantity, 1.5))
    news = asyncio.Event()
    client.updateEvent += news.set
    client.disconnectedEvent += news.set
    async with asyncio.timeout(SECONDS):
        while resting.orderStatus.status != "Submitted" and client.isConnected():
            news.clear()
            await news.wait()
    accounts = client.managedAccounts()
    client.disconnect()
    return accounts


def port_of(program: Any, what: str) -> int:
    return int(program.until(rf"{what} on 127\.0\.0\.1:(\d+)")[1])


def test_the_page_is_printed_once_at_the_end_where_there_is_no_terminal(home: Any) -> None:
    program = home.start("gateway", "--port", 0, "--status", "--accounts", "DU1000001,DU1000002")
    port = port_of(program, "gateway")
    with socket.create_connection(("127.0.0.1", port), SECONDS) as client:
        client.sendall(b"API\0\0\0\0\x09v157..178")
        assert client.recv(100).endswith(b"\0")
        program.press_ctrl_c()
        told = program.end()

    assert (told.code, told.err) == (0, "")
    assert "account    DU1000001, DU1000002, 1,000,000 USD each" in told.out
    assert re.search(r"Sessions: 1 .*\n.*\n client .*\n.*\n greeting +178 ", told.out), told.out
    assert told.out.count("Market: 6") == 1
    assert "Orders: 0" in told.out


def test_every_message_is_told_in_words(home: Any) -> None:
    log = home.path / "messages.log"
    program = home.start("gateway", "--port", 0, "--log-file", log)
    asyncio.run(trade(port_of(program, "gateway")))
    program.until("client 4 left")
    program.press_ctrl_c()
    assert program.end().code == 0

    text = log.read_text()
    assert re.search(r"^\d\d:\d\d:\d\d\.\d{3} client \? > speaks versions 157\.\.178$", text, re.MULTILINE)
    assert re.search(r"client 4 > placeOrder \d+: BUY 100 AAPL STK SMART LMT 1\.5$", text, re.MULTILINE), text
    assert re.search(r"client 4 < orderStatus \d+: Submitted, filled 0, remaining 100$", text, re.MULTILINE)
    assert text.endswith("client 4 - disconnected\n")
    assert stat.S_IMODE(log.stat().st_mode) == 0o600


def test_a_market_can_be_stated_in_a_file(home: Any) -> None:
    script = home.path / "market.csv"
    script.write_text("symbol,at,bid,ask\nKO,0,61.50,61.52\nKO,900,1.00,1.02\n")
    program = home.start("gateway", "--port", 0, "--script", script, "--data", "delayed", "--no-pacing", "--status")
    port_of(program, "gateway")
    program.press_ctrl_c()
    told = program.end()

    assert (told.code, told.err) == (0, "")
    assert "market.csv, delayed" in " ".join(told.out.split())
    assert row(told.out, "KO  ")[:4] == ["KO", "100", "61.50", "61.52"]


def test_messages_can_be_printed(home: Any) -> None:
    program = home.start("gateway", "--port", 0, "--log-messages")
    with socket.create_connection(("127.0.0.1", port_of(program, "gateway")), SECONDS) as client:
        client.sendall(b"API\0\0\0\0\x09v157..178")
        program.until(r"client \? > speaks versions 157\.\.178\n.* client \? < server version 178, ")
    program.terminate()

    assert program.end().code == 0


def test_a_conversation_with_a_tws_is_recorded_and_played_again(home: Any) -> None:
    record = home.path / "conversation.jsonl"
    tws = home.start("gateway", "--port", 0, "--account", "DU7654321")
    proxy = home.start(
        "gateway", "--proxy", f"127.0.0.1:{port_of(tws, 'gateway')}", "--port", 0, "--record", record, "--log-messages"
    )

    assert asyncio.run(trade(port_of(proxy, "proxy"))) == ["DU7654321"]
    proxy.until("client 4 - disconnected")
    proxy.press_ctrl_c()
    assert (proxy.end().code, stat.S_IMODE(record.stat().st_mode)) == (0, 0o600)
    assert "DU7654321" not in record.read_text()

    playback = home.start("gateway", "--replay-conversation", record, "--port", 0)
    port = port_of(playback, "playback")
    assert asyncio.run(trade(port)) == ["DU9000001"]
    playback.until("client 4: played to its end")
    asyncio.run(trade(port, quantity=300))
    playback.press_ctrl_c()
    told = playback.end()

    assert told.code == 1
    assert told.err.count("\n") == 1
    assert "client 4 sent placeOrder" in told.err
    assert "BUY 300 AAPL" in told.err
    assert "but the recording has placeOrder" in told.err


@pytest.mark.parametrize(
    ("options", "parts"),
    [
        (("--proxy", "tws"), ["--proxy 'tws' is not an address", "HOST:PORT"]),
        (("--proxy", "tws:99999"), ["--proxy 'tws:99999' is not an address"]),
        (("--proxy", "tws:7496", "--symbols", "AAPL"), ["--proxy takes market and account from the TWS behind it"]),
        (("--proxy", "tws:7496", "--sample"), ["--proxy takes market and account"]),
        (("--proxy", "tws:7496", "--replay-conversation", "x"), ["choose one"]),
        (("--replay-conversation", "no/such"), ["no/such: the recording cannot be read"]),
        (("--replay-conversation", "x", "--cash", "5"), ["takes market and account from the recording"]),
        (("--proxy", "tws:7496", "--status"), ["--status shows a simulated gateway"]),
        (("--replay-conversation", "x", "--record", "y"), ["leave --record and the log options out"]),
        (("--script", "no/such.csv"), ["no/such.csv cannot be read"]),
        (("--script", "x.csv", "--symbols", "AAPL"), ["--script names its own symbols"]),
        (("--script", "x.csv", "--sample"), ["--sample and --script exclude each other: choose one"]),
        (("--hours", "sometimes"), ["'--hours'", "always", "exchange"]),
        (("--data", "none"), ["'--data'", "live", "delayed"]),
        (("--record", "no/such/file"), ["no/such/file", "cannot be written"]),
        (("--record", "README.md"), ["README.md", "the file exists already"]),
        (("--log-file", "no/such/file"), ["--log-file no/such/file cannot be written"]),
        (("--faults", "no/such.toml"), ["no/such.toml"]),
        (("--accounts", "DU1,U2"), ["U2"]),
        (("--cash", "-1"), ["gateway.cash cannot be -1", "(--cash)", "greater than 0"]),
    ],
)
def test_what_cannot_be_done_is_told_in_one_sentence(cli: Cli, options: tuple[str, ...], parts: list[str]) -> None:
    told = cli("gateway", "--port", 0, *options)

    assert (told.code, told.out) == (2, "")
    assert told.err.startswith("ibdesk: ")
    assert told.err.count("\n") == 1
    assert [part for part in parts if part not in told.err] == []


def test_a_gateway_that_does_not_start_leaves_no_recording(cli: Cli, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        told = cli("gateway", "--port", taken.getsockname()[1], "--record", tmp_path / "nothing.jsonl")

    assert told.code == 2
    assert not (tmp_path / "nothing.jsonl").exists()


# ---- the page -----------------------------------------------------------------------------------------------------


def rendered(gateway: Gateway, traffic: Traffic, *, width: int, rows: int | None = None) -> str:
    console = Console(file=io.StringIO(), width=width, color_system=None)
    console.print(status_view(gateway, traffic, seconds=75, rows=rows))
    written = console.file
    assert isinstance(written, io.StringIO)
    return written.getvalue()


def row(page: str, start: str) -> list[str]:
    """The cells of the first row that begins with this."""
    [line, *_] = [line for line in page.splitlines() if line.strip().startswith(start)]
    return re.split(r"\s{2,}", line.strip())


async def test_the_page_tells_sessions_orders_market_and_faults() -> None:
    clock = ManualClock(1_776_088_800_000_000_000)
    traffic = Traffic(clock.now_ns)
    market = (
        MarketScript(["SPY"]).quote("AAPL", 100.00, 100.02, at=0, bid_size=300).quote("EUR.USD", 1.07975, 1.0798, at=0)
    )
    async with Gateway(market=market.trade("AAPL", 100.02, at=0), clock=clock, listener=traffic) as gateway:
        client = ib.IB()
        await client.connectAsync("127.0.0.1", gateway.port, clientId=12, timeout=SECONDS)
        [aapl] = await client.qualifyContractsAsync(ib.Stock("AAPL", "SMART", "USD"))
        assert isinstance(aapl, ib.Contract)
        client.reqMktData(aapl)
        client.placeOrder(aapl, ib.LimitOrder("BUY", 300, 99.5))
        client.placeOrder(aapl, ib.StopOrder("SELL", 5, 90))
        bought = client.placeOrder(aapl, ib.MarketOrder("BUY", 7))
        async with asyncio.timeout(SECONDS):
            while not bought.isDone():
                await client.updateEvent
        gateway.faults.lose_connectivity()

        page = rendered(gateway, traffic, width=100)
        wide = rendered(gateway, traffic, width=200)
        low = rendered(gateway, traffic, width=100, rows=1)
        cells = {start: row(page, start) for start in ("12 ", "AAPL", "EUR.USD")}
        client.disconnect()

    headline, alarm = page.splitlines()[:2]
    assert "2026-04-13 14:00:00 UTC" in headline
    assert "up 01:15" in headline
    assert alarm.strip() == "NO CONNECTION TO THE MARKET"
    # One quote is streaming and two orders are working. EUR.USD has the decimals of the longer price on both sides.
    assert (cells["12 "][:3], cells["12 "][-2:]) == (["12", "178", "14:00:00"], ["1", "2"])
    assert cells["AAPL"][:6] == ["AAPL", "300", "100.00", "100.02", "100", "100.02"]
    assert cells["EUR.USD"][:5] == ["EUR.USD", "100", "1.07975", "1.07980", "100"]
    orders = page[page.index("Orders: 3") :]
    assert orders.index("sell 5 AAPL stop 90.00, day") < orders.index("buy 300 AAPL limit 99.50, day")
    assert orders.index("buy 300 AAPL limit 99.50, day") < orders.index("buy 7 AAPL at the market, day")
    assert "Faults: 1" in page
    # A low terminal shows as many rows as fit, and says so.
    assert "Orders: 3, 1 of them" in low
    # Where there is room for both, orders stand beside sessions.
    assert any("Sessions: 1" in line and "Orders: 3" in line for line in wide.splitlines())
    assert not any("Sessions: 1" in line and "Orders: 3" in line for line in page.splitlines())


async def test_a_stream_that_was_refused_or_cancelled_is_not_counted() -> None:
    clock = ManualClock(1_776_088_800_000_000_000)
    traffic = Traffic(clock.now_ns)
    market = MarketScript().quote("AAPL", 100.00, 100.02, at=0)
    async with Gateway(market=market, clock=clock, listener=traffic) as gateway:
        client = ib.IB()
        await client.connectAsync("127.0.0.1", gateway.port, clientId=12, timeout=SECONDS)
        [aapl] = await client.qualifyContractsAsync(ib.Stock("AAPL", "SMART", "USD"))
        assert isinstance(aapl, ib.Contract)
        before = len(traffic.tallies[0].streams)
        client.reqMktData(aapl)
        client.reqMktData(ib.Stock("NOSUCH", "SMART", "USD", conId=5))
        client.reqTickByTickData(aapl, "BidAsk")
        await client.reqCurrentTimeAsync()
        counts = [len(traffic.tallies[0].streams) - before]
        client.cancelMktData(aapl)
        await client.reqCurrentTimeAsync()
        counts.append(len(traffic.tallies[0].streams) - before)
        client.disconnect()

    assert counts == [2, 1]


def test_the_statement_of_a_gateway_that_ended_is_written_from_its_state(cli: Cli, tmp_path: Path) -> None:
    state, written = tmp_path / "gateway.db", tmp_path / "flex.xml"
    with RunningGateway(state=state) as gateway:
        gateway.call(lambda: gateway.inner.place_by_hand("AAPL", "BUY", 100))

    code, out, err = cli(
        "gateway", "--port", 0, "--symbols", "AAPL", "--state", state, "--statement", written, "--for", 0
    )

    assert (code, err) == (0, "")
    assert f"ibdesk statement {written}" in out
    assert oct(written.stat().st_mode & 0o777) == "0o600"
    [statement] = read_statements(written)
    [execution] = statement.executions.values()
    assert (execution.symbol, float(execution.quantity), float(execution.price)) == ("AAPL", 100.0, 100.02)
