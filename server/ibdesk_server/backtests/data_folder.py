"""The folder of bar files that clients may use in backtests."""

from __future__ import annotations

from pathlib import Path

from ibdesk.errors import DataError

_UNPACKED = (".csv", ".txt", ".tsv", ".json", ".jsonl", ".ndjson", ".parquet")
ENDINGS = (*_UNPACKED, *(f"{ending}{packed}" for ending in _UNPACKED for packed in (".gz", ".xz", ".bz2", ".zip")))


class DataFolder:
    """Finds bar files by name; files outside the folder cannot be named."""

    def __init__(self, path: Path | None, *, max_bytes: int) -> None:
        self._path, self._max_bytes = path, max_bytes

    def names(self) -> list[str]:
        """Return the names of the files, sorted."""
        if self._path is None or not self._path.is_dir():
            return []
        return sorted(path.name for path in self._path.iterdir() if path.name.endswith(ENDINGS) and self._holds(path))

    def path_of(self, name: str) -> Path:
        """Return the path of a file of the folder.

        Raises:
            DataError: If there is no such file, it is too large, or the server has no data folder.
        """
        if self._path is None:
            raise DataError("this server has no data folder: set server.backtests.data_folder, or use the sample bars")
        path = self._path / name
        if Path(name).name != name or not name.endswith(ENDINGS) or not self._holds(path):
            known = ", ".join(self.names()) or "none"
            raise DataError(f"the server's data folder does not contain {name!r}; it contains: {known}")
        size = path.stat().st_size
        if size > self._max_bytes:
            raise DataError(f"{name} has {size:,} bytes; at most {self._max_bytes:,} are allowed")
        return path

    def _holds(self, path: Path) -> bool:
        """Return whether the file, after following links, is in the folder."""
        return self._path is not None and path.is_file() and path.resolve().parent == self._path.resolve()
