"""A request that is sent again is not done again: what was answered to its `Idempotency-Key` is answered anew.

The answers lie in files, so that any web worker of the machine knows them, also after a restart. Orders do not need
this: their key goes down to the desk, whose journal knows it.
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

# How long an answer is kept.
_KEPT_SECONDS = 86_400.0

A = TypeVar("A", bound=BaseModel)

IdempotencyKey = Annotated[
    str | None,
    Header(
        alias=HEADER,
        min_length=1,
        max_length=100,
        pattern=r"^[\x21-\x7e]+$",
        description="any new word; sent again with the same body, nothing is done and the first answer comes again",
        examples=["8c1f6d0e-4b1a-4c55-9d0a-2f7c6f3b9e11"],
    ),
]


class _Kept(msgspec.Struct, frozen=True):
    """What was asked, as a hash, and answered, as JSON."""

    asked: str
    answer: str


class Once(Generic[A]):
    """One request under way; `answer` is that of the first time, and is to be set the first time."""

    def __init__(self, answer: A | None) -> None:
        self.answer = answer


class IdempotencyStore:
    """The answers of the last day, by who asked, for what, and with which key."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @contextlib.asynccontextmanager
    async def once(
        self, kind: type[A], *, asker: str, operation: str, key: str | None, asked: BaseModel
    ) -> AsyncIterator[Once[A]]:
        """Give the answer of the first time, or none; a second request with the same key waits for the first.

        What is raised inside the block is not kept: the request may be tried again.

        Raises:
            HTTPException: 409, if the key was used for something else.
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
        """Return the descriptor of a lock that nobody else holds now."""
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
    """Return the error of a key that was used for something else."""
    return HTTPException(409, f"the {HEADER} {key!r} was used for another request: take a new one for each")


def _read(path: Path) -> _Kept | None:
    # A machine that died while an answer was written has left half of one, which is none.
    with contextlib.suppress(msgspec.DecodeError):
        return msgspec.json.decode(path.read_bytes(), type=_Kept)
    return None
