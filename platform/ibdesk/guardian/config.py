"""The guardian's settings as plain values, so that its process need not load the tree of settings."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import msgspec

from ibdesk.guardian.decisions import Rules


class GuardianConfig(msgspec.Struct, frozen=True, kw_only=True):
    """The settings of one guardian.

    In mode ``embedded`` the engine's process holds the market and the account: the guardian asks the engine for TWS's
    host and port at each connection. `account` is empty if TWS has only one.
    """

    mode: Literal["embedded", "paper", "live"]
    state_folder: Path
    desk_socket: Path
    host: str
    port: int
    client_id: int
    account: str
    rules: Rules
    # name: the name of its files; `ibdesk stop`, which replaces an absent guardian, has its own.
    name: str = "guardian"
    look_seconds: float = 1.0
    outside_regular_hours: bool = True
    # settle_seconds: the longest time that TWS may take to show an order.
    settle_seconds: float = 60.0

    @property
    def command_socket(self) -> Path:
        """Return the socket over which people reach the guardian."""
        return self.state_folder / f"{self.name}-{self.mode}.sock"

    @property
    def log(self) -> Path:
        """Return the log file, one JSON object per line."""
        return self.state_folder / f"{self.name}-{self.mode}.log"

    @property
    def memory(self) -> Path:
        """Return the file of the state that must survive a kill."""
        return self.state_folder / f"{self.name}-{self.mode}.json"

    @property
    def stop_file(self) -> Path:
        """Return the file whose appearance is a stop."""
        return self.state_folder / "STOP"

    def lock_of(self, account: str) -> Path:
        """Return the file that the engine of the account locks."""
        return self.state_folder / "locks" / f"{self.mode}-{account}.lock"

    def encode(self) -> bytes:
        """Return the settings as bytes for the guardian's process."""
        return msgspec.json.encode(self, enc_hook=str)

    @classmethod
    def decode(cls, data: bytes) -> GuardianConfig:
        """Return the settings that `encode` encoded."""
        return msgspec.json.decode(data, type=GuardianConfig, dec_hook=lambda kind, text: kind(text))
