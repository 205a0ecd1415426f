from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from ibdesk.store.feed import Topic
from ibdesk.views.board import Board
from ibdesk.views.summary import FeedStatus


def headline(board: Board) -> str:
    return str(board._headline.text)


def summary(board: Board) -> str:
    return str(board._summary._text.text)


def test_importing_ibdesk_brings_no_panel() -> None:
    code = "import sys, ibdesk; sys.exit('panel' in sys.modules or 'bokeh' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_first_instrument_is_chosen_and_another_can_be(bar: Any, quote: Any) -> None:
    board = Board()
    board.apply({Topic.BARS: [bar(0, 102.0, symbol="MSFT"), bar(0, 105.0)]})
    assert "AAPL" in headline(board)
    assert "+5.00%" in headline(board)

    board.choose("MSFT")
    board.choose("NONE")
    assert board.chosen == "MSFT"
    # The middle of the quote is no last price where trades are known.
    board.apply({Topic.QUOTES: [quote("MSFT", 108.9, 109.1)], Topic.PROGRESS: [bar(1, 103.0, symbol="MSFT")]})

    assert "MSFT" in headline(board)
    assert "103.00" in headline(board)
    assert "+3.00%" in headline(board)


def test_bars_of_two_lengths_are_told_apart(bar: Any) -> None:
    board = Board()

    board.apply({Topic.BARS: [bar(0, 105.0), bar(0, 105.0, interval_ns=60_000_000_000), bar(0, 1.0, symbol="IBM")]})

    assert list(board._selector.options) == ["AAPL 5 s", "AAPL 1 min", "IBM"]


def test_profit_orders_and_fills_are_summed_up(position: Any, order: Any, fill: Any) -> None:
    board = Board()

    board.apply(
        {
            Topic.POSITIONS: [position("AAPL", 100, realized_pnl=100.0, unrealized_pnl=60.0, commission=10.0)],
            Topic.ORDERS: [order(1, "filled"), order(2, "working")],
            Topic.FILLS: [fill(1)],
        }
    )

    assert "+150.00" in summary(board)
    assert "2 (1 working)" in summary(board)


LOSS = {"id": "20261130-143000-3", "scope": "desk", "state": "halted", "reason": "daily loss <limit>"}
SPREAD = {"id": "20261130-143001-4", "scope": "instrument:AAPL", "state": "reducing", "reason": "its spread"}


def test_a_halt_and_a_lost_feed_cannot_be_overlooked() -> None:
    board = Board()
    link = {"link": "up", "at_ns": 1, "detail": "", "address": "127.0.0.1:4002", "mode": "paper"}

    board.apply({Topic.LINK: [link | {"halts": [LOSS, SPREAD]}]})
    assert "trading</span> HALTED" in summary(board)
    board.show_feed(FeedStatus.RECONNECTING)

    assert "HALTED, desk: daily loss &lt;limit&gt; (halt 20261130-143000-3)" in summary(board)
    assert "REDUCING, instrument:AAPL: its spread (halt 20261130-143001-4)" in summary(board)
    assert "trading</span> not known" in summary(board)
    assert "reconnecting" in summary(board)

    board.apply({Topic.LINK: [link | {"halts": []}]})
    board.show_feed(FeedStatus.LIVE)
    assert "halted" not in summary(board)
    assert "trading</span> NORMAL" in summary(board)


@pytest.mark.parametrize("status", [FeedStatus.AWAY, FeedStatus.RECONNECTING, FeedStatus.REFUSED])
def test_what_was_heard_of_tws_is_not_shown_as_if_it_held(status: FeedStatus) -> None:
    board = Board()
    link = {"link": "up", "at_ns": 1, "detail": "", "address": "127.0.0.1:4002", "mode": "paper"}
    board.apply({Topic.LINK: [link | {"halts": []}]})
    board.show_feed(FeedStatus.LIVE)
    assert "</span> up" in summary(board)

    board.show_feed(status)

    assert "</span> up" not in summary(board)
    assert "</span> not known" in summary(board)
    assert "state good" not in summary(board)


def test_a_tick_without_news_sends_nothing(bar: Any, position: Any) -> None:
    board = Board()
    board.apply({Topic.BARS: [bar(0, 105.0)], Topic.POSITIONS: [position("AAPL", 100)]})
    sent: list[Any] = []
    board._positions.view.param.watch(sent.append, ["value"])
    for text in (board._summary._text, board._headline):
        text._div.on_change("text", lambda attr, old, new: sent.append((attr, old, new)))

    board.apply({Topic.BARS: [bar(0, 105.0)], Topic.POSITIONS: [position("AAPL", 100)]})

    assert sent == []
