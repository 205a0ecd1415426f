"""The key that the dashboard comes with: a viewer's, for the feed and nothing else, so that it can change nothing."""

from __future__ import annotations

import os
import secrets
import time
from pathlib import Path

from ibdesk.errors import ConfigError
from ibdesk_server.security.directory import Directory
from ibdesk_server.security.keyfile import obtain_key
from ibdesk_server.security.keys import LONGEST_LIFE_DAYS, ApiKeys
from ibdesk_server.security.principal import Role
from ibdesk_server.settings import ServerSettings

# One that has less than this left is replaced, so that a dashboard runs for months without being started again.
_LEAST_NS = 90 * 86_400 * 10**9


def obtain_dashboard_key(settings: ServerSettings) -> Path:
    """Return the file of the dashboard's key, which is made when there is none, or none that is good for long.

    Raises:
        ConfigError: If it cannot be read or made.
    """
    path = settings.key_file.with_name("dashboard.key")
    keys = ApiKeys(Directory(settings.directory_file))
    if path.exists():
        holder = keys.holder(obtain_key(path))
        if holder is not None and (holder.expires_ns or 0) - time.time_ns() > _LEAST_NS:
            return path
    name = f"dashboard-{secrets.token_hex(3)}"
    secret, _ = keys.create(name, Role.VIEWER, days=LONGEST_LIFE_DAYS, scopes=["feed"], by="local")
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as file:
            file.write(secret + "\n")
        draft.replace(path)
    except OSError as error:
        raise ConfigError(f"the dashboard's key cannot be kept in {path}: {error}") from None
    return path
