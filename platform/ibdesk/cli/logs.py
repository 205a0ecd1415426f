"""The log of a command's process, and what a command puts on the audit record."""

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
    """What a process reads of the tree that needs no more of it than its log."""

    others: ClassVar[frozenset[str]] = DeskSettings.others | (
        frozenset(DeskSettings.model_fields) - {"log", "state_folder"}
    )

    state_folder: Path = Field(default_factory=state_folder, description="folder of journals, marks and keys")
    log: LogSettings = Field(default_factory=LogSettings, description="what is logged, and where")


def open_log(process: str, settings: DeskSettings | None = None, *, is_child: bool = False) -> Logs:
    """Begin the log of this process, by default as the environment and the file of settings say.

    A child's lines go to its file alone: what it writes to standard error, its parent takes for its last words.

    Raises:
        ConfigError: If a setting is wrong, or the file cannot be written.
    """
    tree = settings or _LogTree.load()
    log = tree.log
    if is_child and log.file:
        log = log.model_copy(update={"stderr_level": "critical"})
    return Logs.set_up(process, log, state_folder=tree.state_folder, secrets=secrets_in(tree))


def record(settings: DeskSettings, action: str, *, outcome: str = "done", **facts: Any) -> None:
    """Put what somebody did at the command line on the audit record.

    Raises:
        AuditError: If it cannot be written.
    """
    with contextlib.suppress(KeyError, OSError):
        # A user without a name is one all the same.
        facts["user"] = getpass.getuser()
    AuditLog(settings.state_folder / "audit").append(action, by="local", role="admin", outcome=outcome, **facts)
