"""API keys of programs. A key is shown once, when it is created; only its hash is stored."""

from __future__ import annotations

import hmac
import json
import re
import secrets
import sqlite3
import string
import time
from collections.abc import Callable, Iterable

import msgspec

from ibdesk_server.security.directory import Directory, Row
from ibdesk_server.security.errors import AccessError, NameTakenError, UnknownNameError
from ibdesk_server.security.principal import Principal, ProofKind, Role, checked_scopes
from ibdesk_server.security.tickets import digest_of

KEY_MARK = "ibk"
LONGEST_LIFE_DAYS = 731

_FORM = re.compile(rf"{KEY_MARK}_([a-z0-9]{{8}})_[A-Za-z0-9_-]{{43}}")
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,31}")
_DAY_NS = 86_400 * 10**9
# How often the time of the last use is stored.
_USE_NOTED_NS = 60 * 10**9
_COLUMNS = "prefix, name, role, scopes, created_by, created_ns, expires_ns, revoked, used_ns"


class ApiKey(msgspec.Struct, frozen=True):
    """The data of a key, without the key itself; times are ns UTC, None means never."""

    prefix: str
    name: str
    role: Role
    scopes: frozenset[str] | None
    created_by: str
    created_ns: int
    expires_ns: int
    revoked: bool
    used_ns: int | None


class ApiKeys:
    """The keys in a directory."""

    def __init__(self, directory: Directory, *, clock: Callable[[], int] = time.time_ns) -> None:
        self._directory, self._clock = directory, clock

    def create(
        self, name: str, role: Role, *, days: float, scopes: Iterable[str] | None = None, by: str
    ) -> tuple[str, ApiKey]:
        """Create a key and return it, the only time, with its data; None as `scopes` means all that the role allows.

        Raises:
            AccessError: If the name is taken (`NameTakenError`) or not valid, a scope is unknown, or the lifetime
                exceeds `LONGEST_LIFE_DAYS`.
        """
        if not _NAME.fullmatch(name):
            raise AccessError(f"{name!r} is not a valid key name: use up to 32 lowercase letters, digits and dashes")
        if not 0 < days <= LONGEST_LIFE_DAYS:
            raise AccessError(f"a key is valid for at most {LONGEST_LIFE_DAYS} days, not for {days:g}")
        prefix = "".join(secrets.choice(string.ascii_lowercase + string.digits) for _ in range(8))
        secret = f"{KEY_MARK}_{prefix}_{secrets.token_urlsafe(32)}"
        now = self._clock()
        key = ApiKey(
            prefix=prefix,
            name=name,
            role=role,
            scopes=None if scopes is None else checked_scopes(scopes),
            created_by=by,
            created_ns=now,
            expires_ns=now + int(days * _DAY_NS),
            revoked=False,
            used_ns=None,
        )
        try:
            with self._directory.change() as connection:
                connection.execute(
                    "INSERT INTO keys VALUES (?, ?, ?, ?, ?, ?, ?, ?, 0, NULL)",
                    (prefix, name, digest_of(secret), role.value, _packed(key.scopes), by, now, key.expires_ns),
                )
        except sqlite3.IntegrityError:
            raise NameTakenError("key", name) from None
        return secret, key

    def all(self) -> list[ApiKey]:
        """Return all keys ever created, oldest first."""
        return [_key(row) for row in self._directory.rows(f"SELECT {_COLUMNS} FROM keys ORDER BY created_ns")]  # noqa: S608

    def revoke(self, name: str) -> ApiKey:
        """Revoke a key permanently, by its name or prefix, and return its data.

        Raises:
            UnknownNameError: If there is no such key.
        """
        with self._directory.change() as connection:
            connection.execute("UPDATE keys SET revoked = 1 WHERE name = ? OR prefix = ?", (name, name))
        row = self._directory.row(f"SELECT {_COLUMNS} FROM keys WHERE name = ? OR prefix = ?", name, name)  # noqa: S608
        if row is None:
            raise UnknownNameError("key", name)
        return _key(row)

    def holder(self, secret: str) -> Principal | None:
        """Return the owner of a key, None if the key is unknown, expired or revoked."""
        form = _FORM.fullmatch(secret)
        row = form and self._directory.row(f"SELECT digest, {_COLUMNS} FROM keys WHERE prefix = ?", form[1])  # noqa: S608
        if not row or not hmac.compare_digest(row[0], digest_of(secret)):
            return None
        key, now = _key(row[1:]), self._clock()
        if not self._is_good(key):
            return None
        if key.used_ns is None or now - key.used_ns >= _USE_NOTED_NS:
            with self._directory.change() as connection:
                connection.execute("UPDATE keys SET used_ns = ? WHERE prefix = ?", (now, key.prefix))
        return Principal(f"key:{key.name}", key.role, ProofKind.KEY, key.scopes, key.prefix, expires_ns=key.expires_ns)

    def still_opens(self, prefix: str) -> bool:
        """Return whether the key with this prefix is still valid."""
        row = self._directory.row(f"SELECT {_COLUMNS} FROM keys WHERE prefix = ?", prefix)  # noqa: S608
        return row is not None and self._is_good(_key(row))

    def _is_good(self, key: ApiKey) -> bool:
        return not key.revoked and key.expires_ns > self._clock()


def _packed(scopes: frozenset[str] | None) -> str | None:
    return None if scopes is None else json.dumps(sorted(scopes))


def _key(row: Row) -> ApiKey:
    prefix, name, role, scopes, created_by, created_ns, expires_ns, revoked, used_ns = row
    return ApiKey(
        prefix=prefix,
        name=name,
        role=Role(role),
        scopes=None if scopes is None else frozenset(json.loads(scopes)),
        created_by=created_by,
        created_ns=created_ns,
        expires_ns=expires_ns,
        revoked=bool(revoked),
        used_ns=used_ns,
    )
