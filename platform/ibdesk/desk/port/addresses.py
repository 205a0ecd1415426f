"""Addresses of desk ports: a Unix socket on this machine, or a name in a Redis that machines share."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec

from ibdesk.errors import ConfigError

# The kernel's limit of a socket's path (sun_path, with its terminator).
_LONGEST_PATH = 107
_UNIX, _REDIS = "unix:", "redis:"
_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")


class SocketAddress(msgspec.Struct, frozen=True):
    """The file of a Unix socket, such as ``unix:/run/ibdesk/desk.sock``."""

    path: Path

    def __str__(self) -> str:
        return f"{_UNIX}{self.path}"


class StreamAddress(msgspec.Struct, frozen=True):
    """The name of a desk in the Redis of the settings, such as ``redis:paper``."""

    name: str

    def __str__(self) -> str:
        return f"{_REDIS}{self.name}"


Address = SocketAddress | StreamAddress


def address_of(text: str) -> Address:
    """Return the address in the text.

    Raises:
        ConfigError: If it is not valid, or longer than the system allows.
    """
    if text.startswith(_UNIX) and text != _UNIX:
        path = Path(text.removeprefix(_UNIX)).expanduser()
        if len(str(path).encode()) > _LONGEST_PATH:
            raise ConfigError(
                f"{path} is too long for a socket (at most {_LONGEST_PATH} bytes): choose a shorter path, "
                f"or a shorter state_folder"
            )
        return SocketAddress(path)
    if text.startswith(_REDIS) and _NAME.fullmatch(text.removeprefix(_REDIS)):
        return StreamAddress(text.removeprefix(_REDIS))
    raise ConfigError(
        f"{text!r} is not a desk's address: write unix:/path/to/desk.sock, or redis: and a name, such as redis:paper"
    )
