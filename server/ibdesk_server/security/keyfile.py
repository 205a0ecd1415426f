"""The key of this machine: a file that only its owner can read, created at the first start. Its holder is an admin."""

from __future__ import annotations

import os
import secrets
import stat
from pathlib import Path

from ibdesk.config import private_folder
from ibdesk.errors import ConfigError

_KEY_BYTES = 32
_SHORTEST_KEY = 32


def obtain_key(path: Path) -> str:
    """Return the API key in a file; creates the file, readable only by its owner, if it does not exist.

    Raises:
        ConfigError: If the file cannot be read or created, others may read it, or it does not contain a key.
    """
    try:
        private_folder(path.parent)
        if not path.exists():
            _make_key(path)
        if stat.S_IMODE(path.stat().st_mode) & 0o077:
            raise ConfigError(f"others may read the API key in {path}: run `chmod 600 {path}`")
        key = path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"the API key cannot be stored in {path}: {error}") from None
    if len(key) < _SHORTEST_KEY:
        raise ConfigError(f"{path} does not contain an API key: delete it, and the next start creates a new one")
    return key


def _make_key(path: Path) -> None:
    """Write a new key to a temporary file and link it, so that readers never see a partial key."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "w", encoding="ascii") as file:
            file.write(secrets.token_urlsafe(_KEY_BYTES) + "\n")
        path.hardlink_to(draft)
    except FileExistsError:
        # Another process was faster; its key is used.
        return
    finally:
        draft.unlink()
