"""The start of the guardian's process: it replaces the process that read the settings and receives them by a pipe."""

from __future__ import annotations

import os
import sys

from ibdesk.guardian.config import GuardianConfig

SETTINGS = "--settings-fd"
END_WITH_STDIN = "--end-with-stdin"


def become_guardian(config: GuardianConfig, *, ends_with_stdin: bool = False) -> None:
    """Replace this process by the guardian's, which keeps its id and its terminal but none of its memory."""
    reading, writing = os.pipe()
    # Far less than the capacity of a pipe.
    os.write(writing, config.encode())
    os.close(writing)
    os.set_inheritable(reading, True)
    arguments = [SETTINGS, str(reading), *([END_WITH_STDIN] if ends_with_stdin else [])]
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, "-m", "ibdesk.guardian", *arguments])  # noqa: S606 - our own module
