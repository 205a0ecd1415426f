"""Where a desk port is: a Unix socket on this machine."""

from __future__ import annotations

from pathlib import Path

import msgspec

from ibdesk.errors import ConfigError

# What the kernel allows for the path of a socket (sun_path, with its end).
_LONGEST_PATH = 107
_UNIX = "unix:"


class Address(msgspec.Struct, frozen=True):
    """The address of a desk port, such as ``unix:/home/me/.local/state/ibdesk/desk.sock``."""

    path: Path

    @classmethod
    def of(cls, text: str) -> Address:
        """Return the address that the text names.

        Raises:
            ConfigError: If it is of no known kind, or longer than the system allows.
        """
        if not text.startswith(_UNIX) or text == _UNIX:
            raise ConfigError(f"{text!r} is no address of a desk: write unix:/path/to/desk.sock")
        path = Path(text.removeprefix(_UNIX)).expanduser()
        if len(str(path).encode()) > _LONGEST_PATH:
            raise ConfigError(
                f"{path} is too long for a socket (at most {_LONGEST_PATH} bytes): choose a shorter path, "
                f"or a shorter state_folder"
            )
        return cls(path)

    def __str__(self) -> str:
        return f"{_UNIX}{self.path}"
