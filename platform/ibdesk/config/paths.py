"""The trading modes, and the folder in which ibdesk keeps its files."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

Mode = Literal["embedded", "paper", "live"]
"""embedded: the simulated TWS in this process; paper: a TWS logged in to paper trading; live: real money."""


def state_folder() -> Path:
    """Return the folder of journals, marks and keys: ``$XDG_STATE_HOME/ibdesk``, else ``~/.local/state/ibdesk``."""
    base = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(base) / "ibdesk"
