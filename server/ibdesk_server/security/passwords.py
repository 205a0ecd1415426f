"""Passwords: rules for new ones, hashes, and checks in constant time that do not block the event loop."""

from __future__ import annotations

import asyncio
import base64
import secrets
import unicodedata
from concurrent.futures import ThreadPoolExecutor

import msgspec
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from ibdesk_server.security.errors import AccessError

SHORTEST, LONGEST = 12, 256

# Each check deliberately takes tens of megabytes and milliseconds.
_AT_ONCE = 2
_WAITING = 32
_SALT_BYTES, _HASH_BYTES = 16, 32


class TooManyChecksError(AccessError):
    """Too many logins are waiting for their password check."""

    def __str__(self) -> str:
        return "too many logins at once: try again in a few seconds"


class PasswordVerdict(msgspec.Struct, frozen=True):
    """Whether a password is right, and its new hash if it was stored with other parameters."""

    right: bool
    better_hash: str | None = None


class Passwords:
    """Hashes passwords with argon2id; `rounds` and `memory_kib` set the cost of each check.

    Checks run in separate threads, a few at a time; the number of waiting checks is limited.
    """

    def __init__(self, *, rounds: int, memory_kib: int) -> None:
        self._hasher = PasswordHasher(
            time_cost=rounds, memory_cost=memory_kib, parallelism=1, salt_len=_SALT_BYTES, hash_len=_HASH_BYTES
        )
        self._nobodys = _random_hash(rounds, memory_kib)
        self._threads = ThreadPoolExecutor(_AT_ONCE, "password")
        self._waiting = 0

    def hash(self, password: str) -> str:
        """Return the hash of a password."""
        return self._hasher.hash(_normal(password))

    async def hash_aside(self, password: str) -> str:
        """Return the hash of a password, without blocking the event loop.

        Raises:
            TooManyChecksError: If too many checks are waiting.
        """
        self._enter()
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, self.hash, password)
        finally:
            self._waiting -= 1

    async def check(self, kept: str | None, password: str) -> PasswordVerdict:
        """Check a password against a stored hash. Without a hash it is wrong, after the same amount of work.

        Raises:
            TooManyChecksError: If too many checks are waiting.
        """
        self._enter()
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, self._check, kept, password)
        finally:
            self._waiting -= 1

    def _check(self, kept: str | None, password: str) -> PasswordVerdict:
        try:
            self._hasher.verify(kept or self._nobodys, _normal(password))
        except (VerificationError, InvalidHashError):
            return PasswordVerdict(right=False)
        if kept is None:
            return PasswordVerdict(right=False)
        return PasswordVerdict(
            right=True, better_hash=self.hash(password) if self._hasher.check_needs_rehash(kept) else None
        )

    def _enter(self) -> None:
        if self._waiting >= _WAITING:
            raise TooManyChecksError
        self._waiting += 1


def require_good(password: str, name: str) -> None:
    """Check a new password against the rules.

    Raises:
        AccessError: If it is too short, too long, or little more than the user's name.
    """
    length = len(_normal(password))
    if length < SHORTEST:
        raise AccessError(f"a password must have at least {SHORTEST} characters, got {length}")
    if length > LONGEST:
        raise AccessError(f"a password must have at most {LONGEST} characters, got {length:,}")
    if len(set(password)) < 5 or len(password.casefold().replace(name.casefold(), "")) < SHORTEST // 2:
        raise AccessError("this password is too easy to guess: use several words that are not related to you")


def _normal(password: str) -> str:
    """Return the normalized form of text that can be typed in several ways (NIST SP 800-63B, 3.1.1.2)."""
    return unicodedata.normalize("NFKC", password)


def _random_hash(rounds: int, memory_kib: int) -> str:
    """Return a hash that matches no password and takes as long to check as any other."""
    salt, digest = (
        base64.b64encode(secrets.token_bytes(size)).decode().rstrip("=") for size in (_SALT_BYTES, _HASH_BYTES)
    )
    return f"$argon2id$v=19$m={memory_kib},t={rounds},p=1${salt}${digest}"
