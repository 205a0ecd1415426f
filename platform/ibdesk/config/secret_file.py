"""Files that hold the value of one setting, as service managers provide secrets."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from ibdesk.errors import ConfigError

_LONGEST = 65_536
# Container engines mount secrets here, visible to one container only, with the file mode of the host.
_HANDED_OVER = Path("/run/secrets")


def read_value(path: Path, *, secret: bool) -> str:
    """Return a file's text without the newline at its end.

    Raises:
        ConfigError: If it cannot be read, is not UTF-8, is empty or too long, or holds a secret that every user of this
            machine can read, unless a container engine mounted it.
    """
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            held = file.read(_LONGEST + 1)
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from None
    if secret and os.name == "posix" and mode & stat.S_IROTH and not is_handed_over(path):
        raise ConfigError(f"{path} holds a secret that every user of this machine can read: chmod 600 {path}")
    if len(held) > _LONGEST:
        raise ConfigError(f"{path} is too long for a value: more than {_LONGEST} bytes")
    try:
        text = held.decode("utf-8").removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError:
        raise ConfigError(f"{path} is not UTF-8 text") from None
    if not text:
        raise ConfigError(f"{path} is empty")
    return text


def is_handed_over(path: Path) -> bool:
    """Return whether a file is in the folder where container engines mount secrets for one container only."""
    return path.is_relative_to(_HANDED_OVER)
