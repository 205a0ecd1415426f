"""The log of a command's process, and its entries in the audit log."""

from __future__ import annotations

import contextlib
import getpass
from pathlib import Path
from typing import Any, ClassVar

from pydantic import Field

from ibdesk.config import SettingsTree, state_folder
from ibdesk.desk import DeskSettings
from ibdesk.store.audit import AuditLog
from ibdesk.telemetry import Logs, LogSettings, secrets_in


class _LogTree(SettingsTree):
    """The settings of a process that needs only its log."""

    others: ClassVar[frozenset[str]] = DeskSettings.others | (
        frozenset(DeskSettings.model_fields) - {"log", "state_folder"}
    )

    state_folder: Path = Field(default_factory=state_folder, description="folder of journals, marks and keys")
    log: LogSettings = Field(default_factory=LogSettings, description="what is logged, and where")


def open_log(process: str, settings: DeskSettings | None = None, *, is_child: bool = False) -> Logs:
    """Set up the log of this process, by default from the environment and the settings file.

    A child logs to its file only: its parent reports its standard error as the cause of its end.

    Raises:
        ConfigError: If a setting is invalid, or the file cannot be written.
    """
    tree = settings or _LogTree.load()
    log = tree.log
    if is_child and log.file:
        log = log.model_copy(update={"stderr_level": "critical"})
    return Logs.set_up(process, log, state_folder=tree.state_folder, secrets=secrets_in(tree))


def record(settings: DeskSettings, action: str, *, outcome: str = "done", **facts: Any) -> None:
    """Append an action of the command line to the audit log.

    Raises:
        AuditError: If the log cannot be written.
    """
    with contextlib.suppress(KeyError, OSError):
        # A user id may have no name.
        facts["user"] = getpass.getuser()
    AuditLog(settings.state_folder / "audit").append(action, by="local", role="admin", outcome=outcome, **facts)
