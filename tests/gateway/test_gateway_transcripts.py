"""Recorded life cycles of orders, played again: the client's requests are repeated, and the answers compared in order.

The transcripts of paper accounts are not part of this project; they are searched where the recorded frames are (see
`test_gateway_recordings`). The market has the recorded prices. After each request the recorded messages must arrive in
their order; between them the gateway may send messages that it always sends and the accounts sent only sometimes. Other
differences are in `OTHERWISE`, with the reason.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ibdesk.clock import ManualClock
from ibdesk.gateway import Gateway, MarketScript
from ibdesk.gateway.protocol.codec import Value

if TYPE_CHECKING:
    from tests.gateway.conftest import MakeWire, Wire

ROOT = Path(__file__).parents[2]
RECORDINGS = Path(os.environ.get("IBDESK_TWS_RECORDINGS", ROOT.parent / "shared" / "tws" / "recorded"))
TRANSCRIPTS = sorted((RECORDINGS / "ibkr-go-transcripts").glob("*.txt"))
WITH_ORDERS = [path for path in TRANSCRIPTS if "\nclient place_order" in path.read_text("utf-8")]

pytestmark = pytest.mark.skipif(
    not WITH_ORDERS, reason=f"no transcripts of paper accounts in {RECORDINGS}; set IBDESK_TWS_RECORDINGS"
)

OPENED_NS = 1_776_088_800_000_000_000  # 2026-04-13 14:00 UTC, the day of the first transcript
USUAL_PRICES = {"AAPL": 260.00, "MSFT": 408.00, "MES-202606": 7039.50}
SOMETIMES = {
    "order", "status PreSubmitted", "status Submitted", "status PreSubmitted trigger", "commission", "completed",
    "error 202",
}  # fmt: skip
"""Messages that the gateway always sends and the accounts sent in some transcripts only."""
# By transcript and request (counted from 1): why the gateway differs.
SUBMITTED_AT_ONCE = "a second market order was Submitted at once; the gateway acknowledges every one as PreSubmitted"
PENDING_CANCEL = "a cancel went through PendingCancel; in the other captures it did not"
LATE_EXECUTION = "Filled came before its execution; the fault `FilledBeforeExecution` does it"
OTHERWISE: dict[tuple[str, int], str] = {
    ("api_stop_loss_management_aapl", 5): SUBMITTED_AT_ONCE,
    ("api_dollar_cost_averaging_aapl", 4): SUBMITTED_AT_ONCE,
    ("api_pairs_trading_aapl_msft", 2): SUBMITTED_AT_ONCE,
    ("api_pairs_trading_aapl_msft", 3): SUBMITTED_AT_ONCE,
    ("api_completed_orders_variants_aapl", 2): SUBMITTED_AT_ONCE,
    ("api_order_rest_cancel_aapl", 2): PENDING_CANCEL,
    ("place_order_modify_to_market_late_execution", 2): LATE_EXECUTION,
}
ORDER, CANCEL, OPEN_ORDERS, ALL_OPEN_ORDERS, COMPLETED, TIME = 3, 4, 5, 16, 99, 49


class Step:
    """One request of a client, and TWS's messages after it."""

    def __init__(self, name: str, told: dict[str, Any]) -> None:
        self.name, self.told = name, told
        self.answers: list[str] = []
        # Of the last reported status, which for a cancel is the canceller's.
        self.client_id: int | None = None


def sessions(path: Path) -> Iterator[list[Step]]:
    """Yield the steps of each connection of a transcript."""
    steps: list[Step] = []
    for line in path.read_text("utf-8").splitlines():
        who, _, rest = line.partition(" ")
        name, _, told = rest.partition(" ")
        if who == "handshake" and steps:
            yield steps
            steps = []
        elif who == "client":
            steps.append(Step(name, json.loads(told)))
        elif who == "server" and steps and (word := recorded_word(name, json.loads(told))):
            steps[-1].answers.append(word)
            if name == "order_status":
                steps[-1].client_id = int(json.loads(told)["client_id"])
    yield steps


def recorded_word(name: str, told: dict[str, Any]) -> str:
    """Return a recorded message in a word; empty if it belongs to no order."""
    match name:
        case "open_order":
            return "order"
        case "order_status":
            return f"status {told['status']} {told['why_held']}".strip()
        case "execution_detail":
            return f"execution {told['side']} {float(told['shares']):g}"
        case "commission_report":
            return "commission"
        case "api_error":
            return f"error {told['code']}" if told["req_id"] != -1 else ""
        case "completed_order":
            return "completed"
        case _:
            return "end" if name.endswith("_end") else ""


def live_word(name: str, told: dict[str, str]) -> str:
    """Return a message of the gateway in the same words."""
    match name:
        case "openOrder":
            return "order"
        case "orderStatus":
            return f"status {told['status']} {told['whyHeld']}".strip()
        case "execDetails":
            return f"execution {told['side']} {float(told['shares']):g}"
        case "commissionReport":
            return "commission"
        case "errMsg":
            return f"error {told['errorCode']}" if told["id"] != "-1" else ""
        case "completedOrder":
            return "completed"
        case _:
            return "end" if name.endswith("End") else ""


def prices(path: Path) -> dict[str, float]:
    """Return where the instruments of a transcript traded."""
    found = dict(USUAL_PRICES)
    for line in path.read_text("utf-8").splitlines():
        if line.startswith("server execution_detail"):
            told = json.loads(line.split(" ", 2)[2])
            found[{"MES": "MES-202606"}.get(told["symbol"], told["symbol"])] = float(told["price"])
    if path.stem == "api_ioc_fok_aapl":
        # Its limit of 309.60 did not fill: the account's price cap stopped it, here the market stands above it.
        found["AAPL"] = 400.00
    return found


def order(told: dict[str, Any]) -> dict[str, Value]:
    """Return the fields of a placeOrder request as the client intended it."""
    contract = told.get("contract", {"symbol": "AAPL", "sec_type": "STK"})
    is_future = contract["sec_type"] == "FUT"
    return {
        "orderId": int(told["order_id"]),
        "symbol": contract["symbol"],
        "secType": contract["sec_type"],
        "lastTradeDateOrContractMonth": "20260618" if is_future else "",
        "exchange": "CME" if is_future else "SMART",
        "currency": "USD",
        "action": told["action"],
        "totalQuantity": float(told["total_quantity"]),
        "orderType": told["order_type"],
        "lmtPrice": told.get("lmt_price", ""),
        "auxPrice": told.get("aux_price", ""),
        "tif": told["tif"],
        "trailingPercent": told.get("trailing_percent", ""),
        # The transcript leaves the first stop out; the order that TWS showed had its limit at 2000.03.
        "trailStopPrice": 2000 if "trailing_percent" in told else "",
        "transmit": int(told.get("transmit", True)),
    }


def ask(wire: Wire, step: Step) -> None:
    """Send a recorded request."""
    match step.name:
        case "place_order":
            wire.send(ORDER, **order(step.told))
        case "cancel_order":
            wire.send(CANCEL, orderId=int(step.told["order_id"]))
        case "req_open_orders":
            wire.send(ALL_OPEN_ORDERS if step.told["scope"] == "all" else OPEN_ORDERS)
        case "req_completed_orders":
            wire.send(COMPLETED, apiOnly=int(step.told["api_only"]))
        case _:
            raise AssertionError(f"a transcript with orders asks {step.name}")


def is_told(recorded: list[str], live: list[str]) -> bool:
    """Return whether the recorded messages arrived in order, with only `SOMETIMES` between them."""
    left = list(recorded)
    for word in live:
        if left and word == left[0]:
            left.pop(0)
        elif word not in SOMETIMES:
            return False
    return not left


async def answers(wire: Wire) -> list[str]:
    """Return the messages since the last request."""
    wire.send(TIME)
    return [word for name, told in await wire.until("currentTime") if (word := live_word(name, told))]


@pytest.mark.parametrize("path", WITH_ORDERS, ids=lambda path: path.stem)
async def test_a_recorded_life_is_lived_again(path: Path, dial_once: MakeWire) -> None:
    script = MarketScript()
    for name, price in prices(path).items():
        script = script.quote(name, price, price, at=0)
    differ: dict[tuple[str, int], tuple[list[str], list[str]]] = {}
    number = 0
    async with Gateway(market=script, clock=ManualClock(OPENED_NS)) as gateway:
        for steps in sessions(path):
            client_id = next((step.client_id for step in steps if step.client_id is not None), 1)
            wire = await dial_once(client_id, port=gateway.port)
            await answers(wire)
            for step in steps:
                ask(wire, step)
                number += 1
                if not step.answers and step is not steps[-1]:
                    # The client did not wait for an answer.
                    continue
                live = await answers(wire)
                if not is_told(step.answers, live):
                    differ[path.stem, number] = (step.answers, live)
            wire.close()

    assert {key: told for key, told in differ.items() if key not in OTHERWISE} == {}
    # A difference that no longer occurs must leave the table.
    assert {key for key in OTHERWISE if key[0] == path.stem} == set(differ)
