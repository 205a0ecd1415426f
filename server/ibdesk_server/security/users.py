"""Users: people with a name, a role and a password."""

from __future__ import annotations

import re
import secrets
import sqlite3
import time
from collections.abc import Callable

import msgspec

from ibdesk.engine import EXTERNAL, MANUAL
from ibdesk.model import GUARDIAN, OPERATOR
from ibdesk_server.security.directory import Directory, Row
from ibdesk_server.security.errors import AccessError, NameTakenError, UnknownNameError
from ibdesk_server.security.principal import Role

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,31}")
# Names that stand for something else in the record of who did what; a halt by the guardian, or for a trade outside the
# desk (external), even has a meaning of its own.
_RESERVED = frozenset(
    {EXTERNAL, GUARDIAN, MANUAL, OPERATOR, "dashboard", "engine", "file", "journal", "local", "risk", "system"}
)
_COLUMNS = "name, role, disabled, generation, created_ns"


class User(msgspec.Struct, frozen=True):
    """Somebody with a password; a new `generation` makes all their logins worthless. `created_ns` is UTC."""

    name: str
    role: Role
    disabled: bool
    generation: str
    created_ns: int


class Users:
    """The users in a directory."""

    def __init__(self, directory: Directory, *, clock: Callable[[], int] = time.time_ns) -> None:
        self._directory, self._clock = directory, clock

    def add(self, name: str, role: Role, password_hash: str) -> User:
        """Add a user and return them.

        Raises:
            AccessError: If the name is taken (`NameTakenError`), reserved, or no name.
        """
        if not _NAME.fullmatch(name) or name in _RESERVED:
            raise AccessError(
                f"{name!r} cannot be the name of a user: take up to 32 small letters, digits, dots and dashes, "
                f"and none of {', '.join(sorted(_RESERVED))}"
            )
        user = User(name, role, disabled=False, generation=_new_generation(), created_ns=self._clock())
        try:
            with self._directory.change() as connection:
                connection.execute(
                    "INSERT INTO users VALUES (?, ?, ?, 0, ?, ?)",
                    (name, role.value, password_hash, user.generation, user.created_ns),
                )
        except sqlite3.IntegrityError:
            raise NameTakenError("user", name) from None
        return user

    def all(self) -> list[User]:
        """Return all users, by name."""
        return [_user(row) for row in self._directory.rows(f"SELECT {_COLUMNS} FROM users ORDER BY name")]  # noqa: S608

    def find(self, name: str) -> User | None:
        """Return a user, None when there is none of this name."""
        row = self._directory.row(f"SELECT {_COLUMNS} FROM users WHERE name = ?", name)  # noqa: S608
        return None if row is None else _user(row)

    def get(self, name: str) -> User:
        """Return a user.

        Raises:
            UnknownNameError: If there is none of this name.
        """
        user = self.find(name)
        if user is None:
            raise UnknownNameError("user", name)
        return user

    def password_of(self, name: str) -> str | None:
        """Return the hash of an enabled user's password, None when there is no such user."""
        row = self._directory.row("SELECT password FROM users WHERE name = ? AND NOT disabled", name)
        return None if row is None else row[0]

    def exist(self) -> bool:
        """Return whether anybody could log in with a password."""
        return self._directory.row("SELECT 1 FROM users WHERE NOT disabled") is not None

    def improve_hash(self, name: str, old_hash: str, password_hash: str) -> None:
        """Keep the same password by a better hash, unless it was changed meanwhile; logins go on."""
        with self._directory.change() as connection:
            connection.execute(
                "UPDATE users SET password = ? WHERE name = ? AND password = ?", (password_hash, name, old_hash)
            )

    def set_password(self, name: str, password_hash: str) -> None:
        """Give a user another password; their logins end.

        Raises:
            UnknownNameError: If there is no such user.
        """
        self._set(name, "password", password_hash)

    def set_role(self, name: str, role: Role) -> None:
        """Give a user another role; their logins end.

        Raises:
            UnknownNameError: If there is no such user.
        """
        self._set(name, "role", role.value)

    def set_disabled(self, name: str, *, disabled: bool) -> None:
        """Keep a user out, or let them in again; their logins end.

        Raises:
            UnknownNameError: If there is no such user.
        """
        self._set(name, "disabled", int(disabled))

    def revoke(self, name: str) -> None:
        """End all logins of a user.

        Raises:
            UnknownNameError: If there is no such user.
        """
        self._set(name, "generation", _new_generation())

    def remove(self, name: str) -> None:
        """Remove a user and end their logins.

        Raises:
            UnknownNameError: If there is no such user.
        """
        with self._directory.change() as connection:
            found = connection.execute("DELETE FROM users WHERE name = ?", (name,)).rowcount
            _end_logins(connection, name)
        if not found:
            raise UnknownNameError("user", name)

    def _set(self, name: str, column: str, value: str | int) -> None:
        with self._directory.change() as connection:
            connection.execute("UPDATE users SET generation = ? WHERE name = ?", (_new_generation(), name))
            found = connection.execute(f"UPDATE users SET {column} = ? WHERE name = ?", (value, name)).rowcount  # noqa: S608
            _end_logins(connection, name)
        if not found:
            raise UnknownNameError("user", name)


def _end_logins(connection: sqlite3.Connection, name: str) -> None:
    connection.execute("DELETE FROM logins WHERE user = ?", (name,))
    connection.execute("DELETE FROM tickets WHERE name = ?", (name,))


def _user(row: Row) -> User:
    name, role, disabled, generation, created_ns = row
    return User(name, Role(role), bool(disabled), generation, created_ns)


def _new_generation() -> str:
    # Random, not counted: a user who is removed and added again shall not inherit the logins of the one before.
    return secrets.token_hex(8)
