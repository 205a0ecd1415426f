"""What the guardian's process is told at its start: plain values, so that it need not load the tree of settings."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import msgspec

from ibdesk.guardian.decisions import Rules


class GuardianConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that one guardian needs to know.

    In mode ``embedded`` the engine's process holds the market and the account: host and port of TWS are asked of the
    engine at each connection. `account` is empty where TWS has only one.
    """

    mode: Literal["embedded", "paper", "live"]
    state_folder: Path
    desk_socket: Path
    host: str
    port: int
    client_id: int
    account: str
    rules: Rules
    # name: what its files are called; `ibdesk stop`, which does a guardian's work where there is none, has its own.
    name: str = "guardian"
    look_seconds: float = 1.0
    outside_regular_hours: bool = True
    # settle_seconds: TWS may take so long to show an order.
    settle_seconds: float = 60.0

    @property
    def command_socket(self) -> Path:
        """Return the socket over which people reach the guardian."""
        return self.state_folder / f"{self.name}-{self.mode}.sock"

    @property
    def log(self) -> Path:
        """Return the file of what it did, one JSON object a line."""
        return self.state_folder / f"{self.name}-{self.mode}.log"

    @property
    def memory(self) -> Path:
        """Return the file of what it must not forget when it is killed."""
        return self.state_folder / f"{self.name}-{self.mode}.json"

    @property
    def stop_file(self) -> Path:
        """Return the file whose appearance is a stop."""
        return self.state_folder / "STOP"

    def lock_of(self, account: str) -> Path:
        """Return the file that the engine of the account locks."""
        return self.state_folder / "locks" / f"{self.mode}-{account}.lock"

    def encode(self) -> bytes:
        """Return the bytes in which it is handed to the guardian's process."""
        return msgspec.json.encode(self, enc_hook=str)

    @classmethod
    def decode(cls, data: bytes) -> GuardianConfig:
        """Return what `encode` has encoded."""
        return msgspec.json.decode(data, type=GuardianConfig, dec_hook=lambda kind, text: kind(text))
