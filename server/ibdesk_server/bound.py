"""Sockets bound to a server's address."""

from __future__ import annotations

import errno
import socket

from ibdesk.errors import AddressInUseError, ConfigError

# How many ports `any_port` tries, beginning with the requested one.
_PORTS_TRIED = 50


def url_of(bound: socket.socket, *, is_encrypted: bool = False) -> str:
    """Return the address of a bound socket, such as ``http://127.0.0.1:8000``."""
    host, port = bound.getsockname()[:2]
    return address_url(host, port, is_encrypted=is_encrypted)


def address_url(host: str, port: int, *, is_encrypted: bool = False) -> str:
    """Return the address of a host and port, such as ``http://127.0.0.1:8000``."""
    return f"{'https' if is_encrypted else 'http'}://{f'[{host}]' if ':' in host else host}:{port}"


def reserve(host: str, port: int, *, any_port: bool = False, setting: str) -> socket.socket:
    """Return a socket that reserves an address for shared listeners of other processes and accepts no connection.

    Raises:
        AddressInUseError: If the port is taken and `any_port` does not help; the error names `setting` as the remedy.
        ConfigError: If listening on the address fails for another reason.
    """
    return bind(host, port, any_port=any_port, setting=setting, is_shared=True, listens=False)


def bind(
    host: str, port: int, *, any_port: bool = False, setting: str, is_shared: bool = False, listens: bool = True
) -> socket.socket:
    """Return a socket that listens on the port or, with `any_port`, on the next free one after it.

    Raises:
        AddressInUseError: If the port is taken and `any_port` does not help; the error names `setting` as the remedy.
        ConfigError: If listening on the address fails for another reason.
    """
    tries = _PORTS_TRIED if any_port else 1
    for candidate in range(port, min(port + tries, 65_536)):
        found = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if is_shared:
            found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        try:
            found.bind((host, candidate))
            # Two sockets may be bound to one port until one of them listens.
            if listens:
                found.listen()
        except OSError as error:
            found.close()
            if error.errno != errno.EADDRINUSE:
                raise ConfigError(f"{host}:{candidate} is not available: {error.strerror}") from None
        else:
            return found
    raise AddressInUseError(host, port, setting)
