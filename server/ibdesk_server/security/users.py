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
# Names with another meaning in the audit log. A halt by the guardian, or for a trade outside the desk (external), is
# also treated differently.
_RESERVED = frozenset(
    {EXTERNAL, GUARDIAN, MANUAL, OPERATOR, "dashboard", "engine", "file", "journal", "local", "risk", "system"}
)
_COLUMNS = "name, role, disabled, generation, created_ns"


class User(msgspec.Struct, frozen=True):
    """A user with a password; a new `generation` ends all earlier logins. `created_ns` is UTC."""

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
        """Add a user and return it.

        Raises:
            AccessError: If the name is taken (`NameTakenError`), reserved or not valid.
        """
        if not _NAME.fullmatch(name) or name in _RESERVED:
            raise AccessError(
                f"{name!r} is not a valid user name: use up to 32 lowercase letters, digits, dots and dashes, "
                f"except {', '.join(sorted(_RESERVED))}"
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
        """Return a user, None if the name is unknown."""
        row = self._directory.row(f"SELECT {_COLUMNS} FROM users WHERE name = ?", name)  # noqa: S608
        return None if row is None else _user(row)

    def get(self, name: str) -> User:
        """Return a user.

        Raises:
            UnknownNameError: If the name is unknown.
        """
        user = self.find(name)
        if user is None:
            raise UnknownNameError("user", name)
        return user

    def password_of(self, name: str) -> str | None:
        """Return the password hash of an enabled user, None if there is no such user."""
        row = self._directory.row("SELECT password FROM users WHERE name = ? AND NOT disabled", name)
        return None if row is None else row[0]

    def exist(self) -> bool:
        """Return whether any user can log in with a password."""
        return self._directory.row("SELECT 1 FROM users WHERE NOT disabled") is not None

    def improve_hash(self, name: str, old_hash: str, password_hash: str) -> None:
        """Store a better hash of the same password, unless the password was changed meanwhile; logins continue."""
        with self._directory.change() as connection:
            connection.execute(
                "UPDATE users SET password = ? WHERE name = ? AND password = ?", (password_hash, name, old_hash)
            )

    def set_password(self, name: str, password_hash: str) -> None:
        """Set a user's password; ends all the user's logins.

        Raises:
            UnknownNameError: If there is no such user.
        """
        self._set(name, "password", password_hash)

    def set_role(self, name: str, role: Role) -> None:
        """Set a user's role; ends all the user's logins.

        Raises:
            UnknownNameError: If there is no such user.
        """
        self._set(name, "role", role.value)

    def set_disabled(self, name: str, *, disabled: bool) -> None:
        """Disable or enable a user; ends all the user's logins.

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
        """Delete a user and end all the user's logins.

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
    # Random rather than counted: a user who is deleted and added again must not inherit the earlier logins.
    return secrets.token_hex(8)
