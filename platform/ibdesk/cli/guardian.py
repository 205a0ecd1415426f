"""`ibdesk guardian`: reads the settings, and becomes the small process that watches the account."""

from __future__ import annotations

from ibdesk.cli.trading import Connection
from ibdesk.config import secure_state_folder
from ibdesk.desk import DeskSettings
from ibdesk.guardian.config import GuardianConfig
from ibdesk.guardian.launch import become_guardian


def run_guardian(connection: Connection, *, is_child: bool) -> None:
    """Watch until Ctrl-C or SIGTERM; a child also ends when its standard input does.

    Raises:
        ConfigError: If a setting is wrong.
    """
    settings = connection.settings(DeskSettings)
    secure_state_folder(settings.state_folder)
    become_guardian(guardian_config(settings), ends_with_stdin=is_child)


def guardian_config(settings: DeskSettings) -> GuardianConfig:
    """Return what the guardian of a desk with these settings is told."""
    guardian, tws = settings.guardian, settings.tws
    return GuardianConfig(
        mode=settings.mode,
        state_folder=settings.state_folder.absolute(),
        desk_socket=settings.socket.path.absolute(),
        host=tws.host,
        port=tws.port,
        client_id=guardian.client_id,
        account="" if settings.mode == "embedded" else tws.account,
        rules=guardian.rules(max_daily_loss=settings.risk.max_daily_loss),
        look_seconds=guardian.look_seconds,
        outside_regular_hours=guardian.outside_regular_hours,
    )
