"""The folder of strategy files that clients may start."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from ibdesk.desk.strategy_limits import TrialLimits
from ibdesk.desk.strategy_trial import try_file
from ibdesk.errors import StrategyError


class StrategyFile(msgspec.Struct, frozen=True):
    """A strategy file: its contents, or in `error` why it cannot be used."""

    file: str
    class_name: str = ""
    description: str = ""
    sha256: str = ""
    parameters: dict[str, Any] = {}
    error: str | None = None


class StrategyFolder:
    """Finds strategies by file name; files outside the folder cannot be named."""

    def __init__(self, path: Path, limits: TrialLimits | None = None) -> None:
        self._path, self._limits = path, limits or TrialLimits()
        self._listed: dict[Path, tuple[tuple[int, int], StrategyFile]] = {}

    def files(self) -> list[StrategyFile]:
        """Return the strategy files of the folder, by name; a file is tried again only after it has changed."""
        paths = sorted(path for path in self._path.glob("*.py") if not path.name.startswith("_"))
        return [self._described(path) for path in paths if self._is_inside(path)]

    def path_of(self, file: str) -> Path:
        """Return the path of a file of the folder.

        Raises:
            StrategyError: If the folder has no such file.
        """
        path = self._path / file
        if Path(file).name != file or path.suffix != ".py" or not path.is_file() or not self._is_inside(path):
            known = ", ".join(found.file for found in self.files()) or "none"
            raise StrategyError(f"the server's strategy folder does not contain {file!r}; it contains: {known}")
        return path

    def check(self, path: Path, parameters: dict[str, Any]) -> None:
        """Check that a file can be used with these parameters; it never runs in this process.

        Raises:
            StrategyError: With the reason.
        """
        try_file(path, parameters, self._limits)

    def _is_inside(self, path: Path) -> bool:
        """Return whether the file, after following links, is in the folder."""
        return path.resolve().parent == self._path.resolve()

    def _described(self, path: Path) -> StrategyFile:
        stat = path.stat()
        version = (stat.st_mtime_ns, stat.st_size)
        known = self._listed.get(path)
        if known is None or known[0] != version:
            known = self._listed[path] = (version, _describe(path, self._limits))
        return known[1]


def _describe(path: Path, limits: TrialLimits) -> StrategyFile:
    try:
        tried = try_file(path, None, limits)
    except StrategyError as error:
        return StrategyFile(path.name, error=str(error))
    return StrategyFile(
        file=path.name,
        class_name=tried.class_name,
        description=tried.description,
        sha256=tried.sha256,
        parameters=tried.parameters,
    )
