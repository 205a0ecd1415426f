"""A desk's processes on a gateway of the test, with a strategy that trades all the time."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.stack import Stack, eventually

from ibdesk.statement import StatementReport, join, read_account, read_statements
from ibdesk.testing.gateway import RunningGateway

CHURNER = '''
from ibdesk import Quote, Strategy


class Churner(Strategy):
    """Buy a share and sell it again, ten times a second."""

    def on_quote(self, quote: Quote) -> None:
        if "symbol" not in self.state:
            self.state["symbol"] = quote.instrument
            self.after(0.1)

    def on_timer(self, name: str) -> None:
        self.after(0.1)
        order = self.sell if self.position(self.state["symbol"]).quantity > 0 else self.buy
        order(self.state["symbol"], 1)
'''


@pytest.fixture
def walking_gateway() -> Iterator[RunningGateway]:
    """A gateway whose prices move all the time."""
    with RunningGateway(symbols=["AAPL"], seed=7) as gateway:
        yield gateway


MakeStack = Callable[..., Stack]


@pytest.fixture
def make_stack(tmp_path: Path, walking_gateway: RunningGateway) -> Iterator[MakeStack]:
    """Make a stack that trades on the gateway and whose strategies folder holds the churner."""
    strategies = tmp_path / "strategies"
    strategies.mkdir()
    (strategies / "churner.py").write_text(CHURNER)
    made: list[Stack] = []

    def make(*, redis_url: str = "", workers: int = 1, **variables: str) -> Stack:
        stack = Stack(
            tmp_path,
            tws_port=walking_gateway.port,
            redis_url=redis_url,
            workers=workers,
            variables={"IBDESK_SERVER__STRATEGIES": str(strategies)} | variables,
        )
        made.append(stack)
        return stack

    yield make
    for stack in made:
        stack.close()


class Trading:
    """What the venue sees of a desk that trades."""

    def __init__(self, gateway: RunningGateway) -> None:
        self._gateway = gateway

    @property
    def fills(self) -> int:
        """How many executions there were."""
        return len(self._gateway.executions)

    def goes_on(self, *, fills: int = 10) -> None:
        """Wait for so many more executions."""
        before = self.fills
        eventually(lambda: self.fills >= before + fills, f"{fills} more executions after {before}", seconds=20)

    def seconds_between(self, first: int, last: int) -> float:
        """The time from one execution to another, by their numbers, in seconds."""
        executions = self._gateway.executions
        return (executions[last].at_ns - executions[first].at_ns) / 1e9

    def longest_pause(self) -> float:
        """The longest time between two executions, in seconds."""
        times = [execution.at_ns for execution in self._gateway.executions]
        return max(later - earlier for earlier, later in itertools.pairwise(times)) / 1e9


def report_of(gateway: RunningGateway, stack: Stack) -> StatementReport:
    """Join the gateway's statement of now with the journals of the stack."""
    path = stack.folder / "flex.xml"
    path.write_text(gateway.call(gateway.inner.statement))
    [statement] = read_statements(path)
    assert statement.ends is not None
    until_ns = int(statement.ends.timestamp()) * 1_000_000_000
    return join(statement, read_account([stack.state / "journals"], statement.account, until_ns=until_ns))


@pytest.fixture
def trading(walking_gateway: RunningGateway) -> Trading:
    return Trading(walking_gateway)
