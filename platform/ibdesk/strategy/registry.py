"""The strategies that start commands can name, identified by the hash of their file."""

from __future__ import annotations

from pathlib import Path

from ibdesk.errors import StrategyError
from ibdesk.model import StartStrategy, StrategySource
from ibdesk.strategy.base import Strategy
from ibdesk.strategy.loader import load_strategy, make_strategy


class StrategyRegistry:
    """Finds the strategy of a start command: a registered class, else its file, which must be unchanged."""

    def __init__(self) -> None:
        self._classes: dict[StrategySource, type[Strategy]] = {}

    def put(self, cls: type[Strategy], source: StrategySource) -> None:
        """Register the class for start commands that name `source`."""
        self._classes[source] = cls

    def find(self, start: StartStrategy) -> Strategy:
        """Return the strategy with the parameters that the command names.

        Raises:
            StrategyError: If the file is missing or has changed, or the parameters are invalid.
        """
        cls = self._classes.get(start.source) or self._load(start.source)
        return make_strategy(cls, start.parameters)

    def _load(self, source: StrategySource) -> type[Strategy]:
        if not source.path:
            raise StrategyError(f"{source.class_name} was not loaded from a file and cannot be found again")
        loaded = load_strategy(Path(source.path))
        if loaded.source.sha256 != source.sha256:
            raise StrategyError(
                f"{source.path} has changed: it was run as {source.sha256[:12]} and is {loaded.source.sha256[:12]} "
                f"now; restore the old file to replay its decisions"
            )
        self.put(loaded.cls, source)
        return loaded.cls
