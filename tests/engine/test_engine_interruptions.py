"""Another thread can interrupt a strategy in its own code, but never in code that works for all runs."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest

from ibdesk.engine import RunState, may_be_interrupted
from ibdesk.interrupts import CallInterrupted

CALL, BEGIN = "ibdesk.engine.strategy_calls:call", "ibdesk.engine.engine:_begin"
ON_BAR, ORDERS = "ibdesk.engine.engine:_on_bar", "ibdesk.engine.order_flow:request"
HOOK, HELPER = "mine:on_bar", "ibdesk.strategy.base:buy"


def frames_of(*calls: str) -> list[FrameType]:
    """Return the frames of functions, each called ``module:name``, that call each other in this order, innermost first.

    Each is compiled under the name of its module, as an import does.
    """
    found: list[FrameType] = []

    def look() -> None:
        frame: FrameType | None = sys._getframe(1)
        for _ in calls:
            assert frame is not None
            found.append(frame)
            frame = frame.f_back

    inner: Callable[[], None] = look
    for each in reversed(calls):
        module, _, name = each.partition(":")
        namespace: dict[str, Any] = {"__name__": module, "inner": inner}
        exec(f"def {name}():\n    inner()\n", namespace)
        inner = namespace[name]
    inner()
    return found


@pytest.mark.parametrize(
    "calls",
    [
        (CALL, HOOK),
        (CALL, HOOK, "statistics:mean"),
        (CALL, HOOK, HELPER),
        (CALL, HOOK, HELPER, ORDERS, CALL, "mine:on_order", "json:dumps"),
        (BEGIN, "mine:on_start", "random:gauss"),
        (ON_BAR, "ibdesk.engine.lane:decide", HOOK, "statistics:mean"),
        (ON_BAR, "ibdesk.engine.lane:decide", "ibdesk.engine.features:step", "polars.series:map", "mine:feature"),
        (CALL, BEGIN, "ibdesk.engine.lane:warm_up", "ibdesk.engine.features:warm_up", "polars.frame:select"),
    ],
    ids=" > ".join,
)
def test_code_of_a_strategy_may_be_interrupted(calls: tuple[str, ...]) -> None:
    assert may_be_interrupted(frames_of(*calls))


@pytest.mark.parametrize(
    "calls",
    [
        (CALL,),
        (ON_BAR, "heapq:merge"),
        (CALL, HOOK, HELPER, ORDERS),
        (CALL, HOOK, HELPER, ORDERS, "dataclasses:replace"),
        (CALL, HOOK, HELPER, ORDERS, "ibdesk.errors:__str__"),
        (CALL, HOOK, HELPER, ORDERS, "ibdesk.engine.exposures:refresh", "enum:__call__", "enum:__new__"),
        (CALL, "ibdesk.engine.strategy_calls:fail", "ibdesk.strategy.loading:error_words", "traceback:format"),
        (BEGIN, "ibdesk.engine.loss_watch:priced", "bisect:insort"),
        (CALL, BEGIN),
    ],
    ids=" > ".join,
)
def test_code_that_works_for_the_books_may_not_be_interrupted(calls: tuple[str, ...]) -> None:
    assert not may_be_interrupted(frames_of(*calls))


class FromOutside(CallInterrupted):
    """What another thread raises is of a class of its own."""


class Late:
    """A quantity at which an interruption comes while the engine reads it."""

    def __float__(self) -> float:
        raise FromOutside("did not return")


def test_an_interruption_amid_code_that_the_engine_has_called_ends_the_desk(tell_story: Any, hands: Any) -> None:
    story = tell_story()
    story.start(hands())

    with pytest.raises(FromOutside):
        story.act(lambda me: me.buy("AAPL", Late()))


def test_an_interruption_amid_code_that_the_strategy_has_called_ends_its_run(tell_story: Any, hands: Any) -> None:
    story = tell_story()
    story.start(hands(quote=lambda *_: sorted([1, 2], key=lambda _: float(Late()))))

    story.quote(10.0, 10.1)

    assert story.run().state is RunState.FAILED
