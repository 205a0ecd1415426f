"""`ibdesk users`: manages the users of the server."""

from __future__ import annotations

from pathlib import Path

from ibdesk.cli.access import asked_password, load_settings, open_directory
from ibdesk.cli.logs import record
from ibdesk.cli.screen import console, plain_table, show_table
from ibdesk.model import moment
from ibdesk_server.security.passwords import Passwords, require_good
from ibdesk_server.security.principal import Role
from ibdesk_server.security.users import Users
from ibdesk_server.settings import Settings


def add(config: Path | None, name: str, role: str, password_file: Path | None) -> None:
    """Add a user.

    Raises:
        IbdeskError: If the name is taken or invalid, or the password breaks the rule.
    """
    settings = load_settings(config)
    users = _users(settings)
    user = users.add(name, Role(role), _new_hash(settings, name, password_file))
    record(settings, "users.add", name=name, role_given=role)
    console.print(f"{user.name} can log in as {user.role.value}")


def set_password(config: Path | None, name: str, password_file: Path | None) -> None:
    """Change a user's password.

    Raises:
        IbdeskError: If the user does not exist, or the password breaks the rule.
    """
    settings = load_settings(config)
    users = _users(settings)
    users.get(name)
    users.set_password(name, _new_hash(settings, name, password_file))
    record(settings, "users.passwd", name=name)
    console.print(f"{name} has a new password; their logins have ended")


def set_role(config: Path | None, name: str, role: str) -> None:
    """Change a user's role.

    Raises:
        IbdeskError: If the user does not exist.
    """
    settings = load_settings(config)
    _users(settings).set_role(name, Role(role))
    record(settings, "users.role", name=name, role_given=role)
    console.print(f"{name} is now {role}; their logins have ended")


def set_disabled(config: Path | None, name: str, *, disabled: bool) -> None:
    """Disable or enable a user.

    Raises:
        IbdeskError: If the user does not exist.
    """
    settings = load_settings(config)
    _users(settings).set_disabled(name, disabled=disabled)
    record(settings, "users.disable" if disabled else "users.enable", name=name)
    console.print(f"{name} {'is disabled; their logins have ended' if disabled else 'can log in again'}")


def revoke(config: Path | None, name: str) -> None:
    """End all logins of a user.

    Raises:
        IbdeskError: If the user does not exist.
    """
    settings = load_settings(config)
    _users(settings).revoke(name)
    record(settings, "users.revoke", name=name)
    console.print(f"all logins of {name} have ended")


def remove(config: Path | None, name: str) -> None:
    """Remove a user.

    Raises:
        IbdeskError: If the user does not exist.
    """
    settings = load_settings(config)
    _users(settings).remove(name)
    record(settings, "users.remove", name=name)
    console.print(f"{name} is removed")


def show(config: Path | None) -> None:
    """List the users.

    Raises:
        IbdeskError: If the directory cannot be read.
    """
    users = _users(load_settings(config)).all()
    if not users:
        console.print("there are no users: add one with `ibdesk users add NAME --role viewer`")
        return
    table = plain_table("name", "role", "since", "state", title="")
    for user in users:
        table.add_row(
            user.name, user.role.value, f"{moment(user.created_ns):%Y-%m-%d}", "disabled" if user.disabled else ""
        )
    show_table(table)


def _users(settings: Settings) -> Users:
    return Users(open_directory(settings))


def _new_hash(settings: Settings, name: str, password_file: Path | None) -> str:
    password = asked_password(password_file)
    require_good(password, name)
    security = settings.server.security
    return Passwords(rounds=security.password_rounds, memory_kib=security.password_memory_kib).hash(password)
