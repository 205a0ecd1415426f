"""The folder of files of bars that may be tested on from outside."""

from __future__ import annotations

from pathlib import Path

from ibdesk.errors import DataError

_UNPACKED = (".csv", ".txt", ".tsv", ".json", ".jsonl", ".ndjson", ".parquet")
ENDINGS = (*_UNPACKED, *(f"{ending}{packed}" for ending in _UNPACKED for packed in (".gz", ".xz", ".bz2", ".zip")))


class DataFolder:
    """Finds files of bars by their name; nothing outside the folder can be named."""

    def __init__(self, path: Path | None, *, max_bytes: int) -> None:
        self._path, self._max_bytes = path, max_bytes

    def names(self) -> list[str]:
        """Return the names of the files there are, sorted."""
        if self._path is None or not self._path.is_dir():
            return []
        return sorted(path.name for path in self._path.iterdir() if path.name.endswith(ENDINGS) and self._holds(path))

    def path_of(self, name: str) -> Path:
        """Return where a file of the folder is.

        Raises:
            DataError: If there is no such file, it is too long, or the server has no such folder.
        """
        if self._path is None:
            raise DataError("this server has no folder of data: set server.backtests.data_folder, or use the sample")
        path = self._path / name
        if Path(name).name != name or not name.endswith(ENDINGS) or not self._holds(path):
            known = ", ".join(self.names()) or "none"
            raise DataError(f"there is no file {name!r} in the server's data folder; it has: {known}")
        size = path.stat().st_size
        if size > self._max_bytes:
            raise DataError(f"{name} is {size:,} bytes long, more than the {self._max_bytes:,} that may be read")
        return path

    def _holds(self, path: Path) -> bool:
        """Return whether the file itself, links followed, lies in the folder."""
        return self._path is not None and path.is_file() and path.resolve().parent == self._path.resolve()
