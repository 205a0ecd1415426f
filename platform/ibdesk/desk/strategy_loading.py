"""Loading of strategies on their own thread: a file is never run on the loop that trades."""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol, TypeVar

import msgspec

from ibdesk.desk.strategy_limits import TrialLimits
from ibdesk.desk.strategy_trial import load_tried, try_parameters
from ibdesk.errors import StrategyError
from ibdesk.model import StrategySource
from ibdesk.strategy import LoadedStrategy, Strategy, as_strategy_error, make_strategy, strategy_of

T = TypeVar("T")

# Time for the trial's process to start, in addition to the file's own limit.
_TRIAL_SECONDS = 130.0


class FoundStrategy(msgspec.Struct, frozen=True):
    """A strategy class, its file for the journal, and all of its parameters."""

    loaded: LoadedStrategy
    parameters: dict[str, Any]


class StrategyLoading(Protocol):
    """The way in which a desk loads strategies."""

    async def find(
        self, strategy: Strategy | type[Strategy] | str | Path, parameters: dict[str, object]
    ) -> FoundStrategy:
        """Return the requested strategy.

        Raises:
            StrategyError: If the file or the parameters cannot be used, or exceed the limits.
        """
        ...

    async def check_parameters(
        self, cls: type[Strategy], source: StrategySource, parameters: dict[str, object]
    ) -> dict[str, Any]:
        """Return all parameters of a running strategy, checked by its code. Raises as `find`."""
        ...


class TrialLoading:
    """Loads on a separate thread; a file is first tried in a separate process."""

    def __init__(self, limits: TrialLimits) -> None:
        self._limits = limits

    async def find(
        self, strategy: Strategy | type[Strategy] | str | Path, parameters: dict[str, object]
    ) -> FoundStrategy:
        """Return the requested strategy."""
        limits = self._limits

        def find() -> FoundStrategy:
            if isinstance(strategy, str | Path):
                return _found_in(load_tried(Path(strategy), parameters, limits), parameters)
            return found_strategy(strategy, parameters)

        name = str(strategy) if isinstance(strategy, str | Path) else _class_of(strategy).__name__
        return await _on_thread(find, name, limits, seconds=_TRIAL_SECONDS + 2 * limits.seconds)

    async def check_parameters(
        self, cls: type[Strategy], source: StrategySource, parameters: dict[str, object]
    ) -> dict[str, Any]:
        """Return all parameters of a running strategy, checked by its code in the trial's process and here."""
        limits = self._limits

        def check() -> dict[str, Any]:
            try_parameters(source, parameters, limits)
            return checked_parameters(cls, parameters)

        return await _on_thread(check, cls.__name__, limits, seconds=_TRIAL_SECONDS + 2 * limits.seconds)


def found_strategy(strategy: Strategy | type[Strategy], parameters: dict[str, object]) -> FoundStrategy:
    """Return a strategy given as an object or a class, with all of its parameters.

    Raises:
        StrategyError: If the parameters cannot be used.
    """
    loaded = strategy_of(_class_of(strategy))
    if isinstance(strategy, Strategy):
        with as_strategy_error(f"{loaded.cls.__name__} cannot be started"):
            parameters = strategy.model_dump() | parameters
    return _found_in(loaded, parameters)


def checked_parameters(cls: type[Strategy], parameters: dict[str, object]) -> dict[str, Any]:
    """Return all parameters of a strategy with these changes. Raises as `found_strategy`."""
    return _dumped(make_strategy(cls, parameters), f"{cls.__name__} cannot have these parameters")


def _found_in(loaded: LoadedStrategy, parameters: dict[str, object]) -> FoundStrategy:
    made = make_strategy(loaded.cls, parameters)
    return FoundStrategy(loaded, _dumped(made, f"{loaded.cls.__name__} cannot be started"))


def _class_of(strategy: Strategy | type[Strategy]) -> type[Strategy]:
    return type(strategy) if isinstance(strategy, Strategy) else strategy


def _dumped(made: Strategy, what: str) -> dict[str, Any]:
    with as_strategy_error(what):
        return made.model_dump(mode="json")


async def _on_thread(work: Callable[[], T], name: str, limits: TrialLimits, *, seconds: float) -> T:
    """Return the result of `work`; its thread is abandoned after `seconds`.

    A thread of the loop's own pool would delay the end of the program.
    """
    future: concurrent.futures.Future[T] = concurrent.futures.Future()
    future.set_running_or_notify_cancel()

    def run() -> None:
        try:
            future.set_result(work())
        except BaseException as error:  # noqa: BLE001 - the caller receives it
            future.set_exception(error)

    threading.Thread(target=run, name=f"loading {name}", daemon=True).start()
    try:
        async with asyncio.timeout(seconds):
            return await asyncio.shield(asyncio.wrap_future(future))
    except TimeoutError:
        raise StrategyError(
            f"{name}: its code takes more than {limits.seconds:g} s to load here (strategy_load_seconds sets the limit)"
        ) from None
