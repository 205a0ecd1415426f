"""`ibdesk gateway` and `ibdesk run`: programs of their own that meet over TCP."""

from __future__ import annotations

import os
import signal
import socket
import time
from pathlib import Path
from typing import Any

import ib_async as ib
import pytest

ROOT = Path(__file__).parent.parent.parent
EMA_CROSS = ROOT / "strategies" / "ema_cross.py"
SECONDS = 20.0

pytestmark = pytest.mark.timeout(180)


@pytest.fixture(scope="module")
def gateway(home: Any) -> Any:
    """Real prices, each day in 5 seconds of a market forty times as fast as the wall's clock."""
    return home.start("gateway", "--port", 0, "--sample", "--speed", 40)


@pytest.fixture(scope="module")
def port(gateway: Any) -> int:
    return int(gateway.until(r"gateway on 127\.0\.0\.1:(\d+)")[1])


async def test_a_client_trades_at_the_gateway_and_is_told_of_in_words(gateway: Any, port: int) -> None:
    client = ib.IB()
    await client.connectAsync("127.0.0.1", port, clientId=77, timeout=SECONDS)
    contract = ib.Stock("IBM", "SMART", "USD")
    await client.qualifyContractsAsync(contract)
    order = ib.LimitOrder("BUY", 25, 1.0, tif="GTC")

    resting = client.placeOrder(contract, order)
    bought = client.placeOrder(contract, ib.MarketOrder("BUY", 10))
    gateway.until(r"client 77 order \d+: bought 10 IBM at \d+\.\d\d")
    client.cancelOrder(order)
    gateway.until(rf"client 77 order {resting.order.orderId} Cancelled")
    client.disconnect()

    told = gateway.until(r"client 77 left")
    assert f"client 77 order {bought.order.orderId}: buy 10 IBM at the market, day" in told.string
    assert f"client 77 order {resting.order.orderId}: buy 25 IBM limit 1.00, gtc" in told.string
    assert told.string.index("client 77 connected") < told.string.index("buy 10 IBM")


@pytest.fixture(scope="module")
def ran(home: Any, port: int) -> Any:
    """A strategy that trades often, on the gateway, until Ctrl-C."""
    program = home.start(
        *("run", EMA_CROSS, "--on", "AAPL,MSFT", "-p", "fast=2", "-p", "slow=3"),
        *("--mode", "paper", "--port", port, "--client-id", 5, "--flatten"),
    )
    program.until(r"(bought|sold) 100 MSFT at")
    program.press_ctrl_c()
    return program.end()


def test_a_run_prints_what_it_trades_and_sums_it_up_at_ctrl_c(ran: Any, gateway: Any, port: int) -> None:
    assert (ran.code, ran.err) == (0, "")
    assert f"(paper) at 127.0.0.1:{port}" in ran.out
    assert "Profit and loss" in ran.out
    assert "tick to order p50" in ran.out
    gateway.until(r"client 5 left")


def test_a_flattened_run_ends_with_nothing_held(ran: Any) -> None:
    _, table = ran.out.split("Profit and loss")
    held = [line.split()[1] for line in table.splitlines() if line.strip().startswith(("AAPL", "MSFT"))]

    assert set(held) == {"0"}


def test_the_journal_of_a_run_replays_equal(ran: Any, home: Any) -> None:
    replayed = home.start("replay", *home.journals).end()

    assert replayed.code == 0
    assert "equal" in replayed.out


def test_a_client_id_in_use_is_told(gateway: Any, port: int, home: Any) -> None:
    first = home.start("run", EMA_CROSS, "--on", "AAPL", "--mode", "paper", "--port", port, "--client-id", 6)
    first.until("in .*Ctrl-C|end +Ctrl-C")

    second = home.start("run", EMA_CROSS, "--on", "AAPL", "--mode", "paper", "--port", port, "--client-id", 6).end()
    first.terminate()

    assert second.code == 1
    assert f"client id 6 is already in use at 127.0.0.1:{port}" in second.err
    assert first.end().code == 0


def test_an_unknown_symbol_is_told(port: int, home: Any) -> None:
    told = home.start("run", EMA_CROSS, "--on", "NOSUCH", "--mode", "paper", "--port", port, "--client-id", 8).end()

    assert told.code == 2
    assert "NOSUCH" in told.err
    assert "Traceback" not in told.err


def test_a_strategy_that_raises_ends_its_program_with_its_error(home: Any) -> None:
    path = home.path / "mine.py"
    path.write_text("from ibdesk import Strategy\nclass A(Strategy):\n    def on_bar(self, bar): {}['x']\n")

    told = home.start("run", path, "--on", "AAPL", "--speed", 50).end()

    assert told.code == 1
    assert "has failed and no longer trades: KeyError: 'x'" in told.err
    assert "Traceback" not in told.err


def test_ctrl_c_while_a_tws_does_not_answer_ends_at_once(home: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.settimeout(SECONDS)
        port = silent.getsockname()[1]
        program = home.start("run", EMA_CROSS, "--on", "AAPL", "--mode", "paper", "--port", port)
        program.until("connecting to TWS")
        connection, _ = silent.accept()
        pressed = time.monotonic()
        program.press_ctrl_c()
        told = program.end()
        took = time.monotonic() - pressed
        connection.close()

    assert told.code == 130
    assert told.err == "ibdesk: stopped before start-up was complete\n"
    # The wait for TWS would have gone on for ten seconds.
    assert took < 5


def test_the_gateway_ends_at_ctrl_c_with_its_clients_cut_off(home: Any) -> None:
    program = home.start("gateway", "--port", 0, "--symbols", "AAPL,EUR.USD", "--seed", 7)
    port = int(program.until(r"gateway on 127\.0\.0\.1:(\d+)")[1])
    with socket.create_connection(("127.0.0.1", port), SECONDS) as client:
        program.press_ctrl_c()
        told = program.end()
        client.settimeout(SECONDS)
        try:
            rest = client.recv(1)
        except ConnectionResetError:
            rest = b""

    assert (told.code, told.err, rest) == (0, "", b"")
    assert "closed after 0 orders" in told.out


def test_a_run_left_by_a_killed_program_is_taken_over_by_one_flag(home: Any, tmp_path: Path) -> None:
    gateway = home.start("gateway", "--port", 0, "--sample", "--speed", 40)
    port = gateway.until(r"gateway on 127\.0\.0\.1:(\d+)")[1]
    hold = tmp_path / "hold.py"
    hold.write_text(
        "import polars as pl\nfrom ibdesk import Strategy\n\n\nclass Hold(Strategy):\n    size: int = 100\n\n"
        "    def target(self):\n        return pl.lit(float(self.size))\n"
    )
    common = ("run", hold, "--on", "IBM", "--mode", "paper", "--port", port, "--client-id", 6)
    killed = home.start(*common)
    run_id = killed.until(r"(Hold-\w+) on IBM")[1]
    gateway.until(r"client 6 order \d+: bought 100 IBM at")
    os.kill(killed.pid, signal.SIGKILL)
    killed.end()

    refused = home.start(*common, "-p", "size=120").end()
    taken = home.start(*common, "-p", "size=120", "--take-over", run_id, "--flatten")
    gateway.until(r"client 6 order \d+: bought 20 IBM at")
    # The run trades, whatever of its start the program has printed yet.
    taken.until(r"Hold-\w+ on IBM")
    taken.press_ctrl_c()

    assert refused.code != 0
    assert f"{run_id} was left by an earlier desk with 100 IBM" in " ".join(refused.err.split())
    assert f"--take-over {run_id}" in " ".join(refused.err.split())
    assert taken.end().code == 0
