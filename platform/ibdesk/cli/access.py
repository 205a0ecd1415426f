"""Access to the server's users and keys for the commands that manage them."""

from __future__ import annotations

import getpass
import os
import sys
from pathlib import Path

from ibdesk.errors import ConfigError
from ibdesk_server.security.directory import Directory
from ibdesk_server.settings import Settings


def load_settings(config: Path | None) -> Settings:
    """Return the settings of this machine's desk and server.

    Raises:
        ConfigError: If a setting is invalid.
    """
    return Settings.load(config=config)


def open_directory(settings: Settings) -> Directory:
    """Return the server's directory of users and keys. Running servers see changes to it.

    Raises:
        ConfigError: If it cannot be opened or created, or other users can read it.
    """
    return Directory(settings.server.directory_file)


def asked_password(file: Path | None) -> str:
    """Return a new password: the first line of a file, else a password typed twice without echo.

    Raises:
        ConfigError: If the file cannot be read, or the two typed passwords differ.
    """
    if file is not None:
        try:
            return next(iter(file.read_text(encoding="utf-8").splitlines()), "")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"the password cannot be read from {file}: {error}") from None
    if not sys.stdin.isatty():
        raise ConfigError("there is no terminal to type a password on: give a file with --password-file")
    password, again = getpass.getpass("Password: "), getpass.getpass("Again: ")
    if password != again:
        raise ConfigError("the two passwords differ: try again")
    return password


def operator() -> str:
    """Return the user of this command line as named in the audit log."""
    try:
        return f"cli:{getpass.getuser()}"
    except (OSError, KeyError):
        return f"cli:{os.getuid()}"
