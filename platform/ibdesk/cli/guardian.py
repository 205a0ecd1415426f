"""`ibdesk guardian`: reads the settings and becomes the process that watches the account."""

from __future__ import annotations

from ibdesk.cli.trading import Connection
from ibdesk.config import secure_state_folder
from ibdesk.desk import DeskSettings
from ibdesk.desk.stopping import guardian_config
from ibdesk.guardian.launch import become_guardian


def run_guardian(connection: Connection, *, is_child: bool) -> None:
    """Watch the account until Ctrl-C or SIGTERM; a child also ends when its standard input closes.

    Raises:
        ConfigError: If a setting is invalid.
    """
    settings = connection.settings(DeskSettings)
    secure_state_folder(settings.state_folder)
    become_guardian(guardian_config(settings), ends_with_stdin=is_child)
