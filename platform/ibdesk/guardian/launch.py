"""How the guardian's process begins: in place of the one that has read the settings, which are handed on by a pipe."""

from __future__ import annotations

import os
import sys

from ibdesk.guardian.config import GuardianConfig

SETTINGS = "--settings-fd"
END_WITH_STDIN = "--end-with-stdin"


def become_guardian(config: GuardianConfig, *, ends_with_stdin: bool = False) -> None:
    """Replace this process, and all that it has loaded, by the guardian's; it keeps its id and its terminal."""
    reading, writing = os.pipe()
    # Far less than a pipe holds.
    os.write(writing, config.encode())
    os.close(writing)
    os.set_inheritable(reading, True)
    arguments = [SETTINGS, str(reading), *([END_WITH_STDIN] if ends_with_stdin else [])]
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, "-m", "ibdesk.guardian", *arguments])  # noqa: S606 - our own module
