"""History has the requested number of bars, or an error says how many there are."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from ibdesk.desk import Desk
from ibdesk.errors import HistoryError

OpenDesk = Callable[..., Desk]


@pytest.fixture
def walk(open_desk: OpenDesk) -> Desk:
    return open_desk(gateway={"port": 0})


@pytest.mark.parametrize(("bar", "count"), [("5 secs", 20_000), ("1 min", 14_000), ("1 day", 2_000), ("1 hour", 1)])
def test_so_many_bars_as_were_asked_for_come_back(walk: Desk, bar: str, count: int) -> None:
    bars = walk.history("AAPL", bar=bar, count=count)

    assert bars.height == count
    assert bars["opened_at"].is_sorted()
    assert bars["opened_at"].n_unique() == count


def test_fewer_bars_than_asked_for_are_an_error_that_says_how_many_there_are(walk: Desk) -> None:
    """The market of the gateway has ten days of minutes behind it: 14,400."""
    with pytest.raises(HistoryError) as raised:
        walk.history("AAPL", bar="1 min", count=200_000)

    known = int(str(raised.value).partition("count=")[2].partition(" ")[0])
    assert 0 < known < 200_000
    assert f"TWS has {known:,} bars of AAPL in bars of 1 min, and 200,000 were requested" in str(raised.value)
    assert walk.history("AAPL", bar="1 min", count=known - 1).height == known - 1


def test_more_small_bars_than_tws_answers_are_refused_before_asking(walk: Desk) -> None:
    sent = walk.health().messages_sent

    # Of 5-second bars TWS answers with an hour at a time, and takes 60 requests in ten minutes.
    with pytest.raises(HistoryError, match="ask for at most 36,000 bars of 5 secs"):
        walk.history("AAPL", bar="5 secs", count=50_000)

    # The instrument was asked for, no bars were.
    assert walk.health().messages_sent - sent <= 3


@pytest.fixture
def paced(open_desk: OpenDesk) -> Desk:
    """A desk whose market refuses what TWS refuses: a request that equals one of the last 15 seconds, for one."""
    return open_desk(gateway={"port": 0, "pacing": True})


def test_the_same_history_again_is_answered_although_tws_refuses_the_same_request(paced: Desk) -> None:
    for _ in range(4):
        assert paced.history("MSFT", bar="5 secs", count=300).height == 300


def test_more_pages_than_tws_answers_in_two_seconds_come_back_whole(open_desk: OpenDesk) -> None:
    """Seven pages of an hour: TWS refuses the sixth within two seconds, which are short on a fast clock."""
    fast = open_desk(gateway={"port": 0, "pacing": True, "speed": 5})

    bars = fast.history("AAPL", bar="5 secs", count=5_000)

    assert bars.height == 5_000
    assert bars["opened_at"].n_unique() == 5_000


def test_a_strategy_may_be_stopped_and_started_again_at_once(
    paced: Desk, write_strategy: Callable[[str, str], Path]
) -> None:
    hold = write_strategy("hold", "def target(self):\n    return pl.lit(1.0)")
    first = paced.start(hold, on="IBM", bar="1 min")
    paced.stop(first)

    second = paced.start(hold, on="IBM", bar="1 min")

    assert second != first
    assert [each.state for each in paced.runs() if each.run_id == second] == ["running"]
