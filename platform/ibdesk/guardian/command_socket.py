"""The command interfaces for people: a Unix socket of bounded JSON lines, and a file named STOP.

A line is one command: ``{"do": "flatten", "reason": "...", "by": "..."}``. `do` is ``status``, ``halt``, ``cancel``,
``flatten`` or ``kill``. No command lifts a halt; a person does that at the desk. The answer is one line:
``{"ok": true, ...}`` or ``{"ok": false, "error": "..."}``.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import stat
from collections.abc import Callable
from pathlib import Path

import msgspec

from ibdesk.config import private_folder
from ibdesk.errors import ConfigError
from ibdesk.guardian.stop import Level

LONGEST_LINE = 4096
_SECONDS_FOR_A_LINE = 30.0
_MOST_CLIENTS = 32
# A longer file contains no level.
_LONGEST_WORD = 64


class Command(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A command to the guardian; in mode live a stop names the account."""

    do: str
    reason: str = ""
    by: str = ""
    account: str = ""
    kill: bool = False


Answer = Callable[[Command], dict[str, object]]


class CommandSocket:
    """The command socket; `answer` carries out a command and returns the answer."""

    def __init__(self, path: Path, answer: Answer) -> None:
        self._path, self._answer = path, answer
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._inode = 0

    async def open(self) -> None:
        """Bind the address; a dead guardian's socket is replaced.

        Raises:
            ConfigError: If another guardian answers there, or the address cannot be bound.
        """
        try:
            private_folder(self._path.parent)
            if self._path.exists():
                if await self._is_answered():
                    raise ConfigError(f"another guardian answers at {self._path}: stop it first")
                self._path.unlink(missing_ok=True)
            self._server = await asyncio.start_unix_server(self._serve, self._path, limit=LONGEST_LINE)
            self._path.chmod(0o600)
            self._inode = self._path.stat().st_ino
        except OSError as error:
            raise ConfigError(f"the guardian cannot be reached at {self._path}: {error.strerror or error}") from None

    def close(self) -> None:
        """Release the address."""
        if self._server is not None:
            self._server.close()
            with contextlib.suppress(FileNotFoundError):
                if self._path.stat().st_ino == self._inode:
                    self._path.unlink()
        for writer in self._writers:
            writer.transport.abort()

    async def _is_answered(self) -> bool:
        try:
            _, writer = await asyncio.open_unix_connection(self._path)
        except OSError:
            return False
        writer.transport.abort()
        return True

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._writers) >= _MOST_CLIENTS:
            writer.transport.abort()
            return
        self._writers.add(writer)
        try:
            while True:
                async with asyncio.timeout(_SECONDS_FOR_A_LINE):
                    line = await reader.readline()
                if not line.strip():
                    return
                writer.write(msgspec.json.encode(self._answered(line)) + b"\n")
                await writer.drain()
        except (OSError, TimeoutError):
            return
        except ValueError:
            # The line is longer than any command.
            writer.write(msgspec.json.encode(_refusal(f"a command has at most {LONGEST_LINE} bytes")) + b"\n")
            with contextlib.suppress(OSError):
                await writer.drain()
        finally:
            self._writers.discard(writer)
            writer.close()

    def _answered(self, line: bytes) -> dict[str, object]:
        try:
            command = msgspec.json.decode(line, type=Command)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            return _refusal(f"this is not a command: {error}")
        return self._answer(command)


def _refusal(text: str) -> dict[str, object]:
    return {"ok": False, "error": text}


class StopFile:
    """The file whose appearance or change is a stop: its content is the level or ``kill``; an empty file means halt."""

    def __init__(self, path: Path, seen: tuple[int, ...]) -> None:
        self._path, self.seen = path, seen

    def look(self) -> tuple[Level, bool] | None:
        """Return the level of a new or changed file, and whether the engine is to be killed.

        Any other word means halt.
        """
        try:
            found = os.lstat(self._path)
        except OSError:
            return None
        identity = found.st_ino, found.st_mtime_ns, found.st_size
        if identity == self.seen:
            return None
        self.seen = identity
        word = _word_in(self._path) if stat.S_ISREG(found.st_mode) else ""
        return (Level(word) if word in set(Level) else Level.HALT), word == "kill"


def _word_in(path: Path) -> str:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            return os.read(descriptor, _LONGEST_WORD).decode("ascii", "replace").strip().lower()
        finally:
            os.close(descriptor)
    except OSError:
        return ""
