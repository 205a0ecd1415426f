"""Idempotency: a repeated request with the same `Idempotency-Key` is not executed, and gets the first answer.

The answers are stored in files, so all web workers of the machine share them, also after a restart. Orders do not
need this: the desk's journal stores their key.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import hashlib
import os
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Annotated, Generic, TypeVar

import msgspec
from fastapi import Header, HTTPException
from pydantic import BaseModel

from ibdesk.config import private_folder
from ibdesk_server.etags import fingerprint

HEADER = "Idempotency-Key"
REPLAYED = {"Idempotent-Replayed": "true"}

# How long an answer is stored.
_KEPT_SECONDS = 86_400.0

A = TypeVar("A", bound=BaseModel)

IdempotencyKey = Annotated[
    str | None,
    Header(
        alias=HEADER,
        min_length=1,
        max_length=100,
        pattern=r"^[\x21-\x7e]+$",
        description="any unique text; repeating a request with the same key and body only returns the first answer",
        examples=["8c1f6d0e-4b1a-4c55-9d0a-2f7c6f3b9e11"],
    ),
]


class _Kept(msgspec.Struct, frozen=True):
    """A stored answer as JSON, with a hash of its request."""

    asked: str
    answer: str


class Once(Generic[A]):
    """One request in progress; `answer` is the stored answer, or None if the caller must set it."""

    def __init__(self, answer: A | None) -> None:
        self.answer = answer


class IdempotencyStore:
    """The answers of the last 24 hours, by caller, operation and idempotency key."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @contextlib.asynccontextmanager
    async def once(
        self, kind: type[A], *, asker: str, operation: str, key: str | None, asked: BaseModel
    ) -> AsyncIterator[Once[A]]:
        """Yield the stored answer, or None for the first request; a second one with the same key waits for the first.

        An error inside the block is not stored: the request may be repeated.

        Raises:
            HTTPException: 409, if the key was used for a different request.
        """
        if key is None:
            yield Once(None)
            return
        path = self._folder / hashlib.sha256("\n".join((asker, operation, key)).encode()).hexdigest()
        handle = await asyncio.to_thread(self._lock, path)
        try:
            kept, print_ = _read(path), fingerprint(asked.model_dump_json().encode())
            if kept is not None and kept.asked != print_:
                raise reused(key)
            once = Once(None if kept is None else kind.model_validate_json(kept.answer))
            yield once
            if kept is None and once.answer is not None:
                path.write_bytes(msgspec.json.encode(_Kept(print_, once.answer.model_dump_json(by_alias=True))))
        finally:
            os.close(handle)

    def _lock(self, path: Path) -> int:
        """Wait for the file's exclusive lock and return its descriptor."""
        private_folder(self._folder)
        self._forget_old()
        handle = os.open(path, os.O_CREAT | os.O_RDWR, 0o600)
        fcntl.flock(handle, fcntl.LOCK_EX)
        return handle

    def _forget_old(self) -> None:
        before = time.time() - _KEPT_SECONDS
        for path in self._folder.iterdir():
            with contextlib.suppress(FileNotFoundError):
                if path.stat().st_mtime < before:
                    path.unlink()


def reused(key: str) -> HTTPException:
    """Return the error for a key that was used for a different request."""
    return HTTPException(409, f"the {HEADER} {key!r} was used for another request: use a new key for each")


def _read(path: Path) -> _Kept | None:
    # A crash while an answer was written leaves half a file, which does not count.
    with contextlib.suppress(msgspec.DecodeError):
        return msgspec.json.decode(path.read_bytes(), type=_Kept)
    return None
