"""`ibdesk keys`: manages the API keys of programs."""

from __future__ import annotations

import os
import time
from pathlib import Path

from ibdesk.cli.access import load_settings, open_directory, operator
from ibdesk.cli.logs import record
from ibdesk.cli.screen import console, plain_table, show_table
from ibdesk.errors import ConfigError
from ibdesk.model import moment
from ibdesk.model.duration import parse_duration
from ibdesk_server.security.keys import ApiKey, ApiKeys
from ibdesk_server.security.principal import Role
from ibdesk_server.settings import Settings


def create(
    config: Path | None, name: str, role: str, *, scopes: list[str] | None, expires: str, file: Path | None
) -> None:
    """Create a key and print it, or write it to a new file.

    Raises:
        IbdeskError: If the name is taken, the name, a scope or the lifetime is invalid, or the file cannot be created.
    """
    days = _days(expires)
    if file is not None and file.exists():
        raise ConfigError(f"{file} already exists: choose another file")
    settings = load_settings(config)
    keys = _keys(settings)
    secret, key = keys.create(name, Role(role), days=days, scopes=scopes, by=operator())
    record(settings, "keys.create", key=key.name, prefix=key.prefix, role_given=role)
    facts = f"{key.role.value}, {_reach(key)}, valid until {moment(key.expires_ns):%Y-%m-%d %H:%M} UTC"
    if file is None:
        console.print(f"{name}: {facts}. Store the key, it is not shown again:")
        console.print(secret, soft_wrap=True, markup=False)
        return
    try:
        handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        keys.revoke(name)
        raise ConfigError(f"the key could not be written to {file} and is revoked: {error}") from None
    with os.fdopen(handle, "w", encoding="ascii") as out:
        out.write(secret + "\n")
    console.print(f"{name}: {facts}. The key is in {file} only.")


def show(config: Path | None) -> None:
    """List all keys.

    Raises:
        IbdeskError: If the directory cannot be read.
    """
    keys = _keys(load_settings(config)).all()
    if not keys:
        console.print("there are no keys: create one with `ibdesk keys create NAME`")
        return
    table = plain_table("name", "prefix", "role", "reaches", "by", "until", "last used", "state", title="")
    for key in keys:
        used = "never" if key.used_ns is None else f"{moment(key.used_ns):%Y-%m-%d %H:%M}"
        until = f"{moment(key.expires_ns):%Y-%m-%d}"
        table.add_row(key.name, key.prefix, key.role.value, _reach(key), key.created_by, until, used, _state(key))
    show_table(table)


def revoke(config: Path | None, name: str) -> None:
    """Revoke a key permanently.

    Raises:
        IbdeskError: If the key does not exist.
    """
    settings = load_settings(config)
    key = _keys(settings).revoke(name)
    record(settings, "keys.revoke", key=key.name, prefix=key.prefix)
    console.print(f"{key.name} is revoked")


def _keys(settings: Settings) -> ApiKeys:
    return ApiKeys(open_directory(settings))


def _days(text: str) -> float:
    try:
        return parse_duration(text) / 86_400
    except ValueError as error:
        raise ConfigError(f"Invalid --expires {text!r}. {error}") from None


def _reach(key: ApiKey) -> str:
    return "all areas" if key.scopes is None else " ".join(sorted(key.scopes))


def _state(key: ApiKey) -> str:
    if key.revoked:
        return "revoked"
    return "expired" if key.expires_ns <= time.time_ns() else ""
