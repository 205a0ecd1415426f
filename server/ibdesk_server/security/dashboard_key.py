"""The dashboard's own key: role viewer, limited to reading the feed."""

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

# A key with a shorter remaining lifetime is replaced, so that a dashboard can run for months without a restart.
_LEAST_NS = 90 * 86_400 * 10**9


def obtain_dashboard_key(settings: ServerSettings) -> Path:
    """Return the file of the dashboard's key; creates a key if there is none or it expires soon.

    Raises:
        ConfigError: If the key cannot be read or created.
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
        raise ConfigError(f"the dashboard's key cannot be stored in {path}: {error}") from None
    return path
