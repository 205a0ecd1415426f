"""The settings of `ibdesk gateway`: the section `gateway` with some other defaults."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from pydantic import Field

from ibdesk.config import Given, SettingsTree
from ibdesk.desk import DeskSettings
from ibdesk.gateway import GatewaySettings


class _Alone(GatewaySettings):
    """The settings of a standalone gateway, which limits its clients as TWS does."""

    pacing: bool = Field(True, description="enforce TWS's limit of messages per second, on the gateway's clock")


class _GatewayTree(SettingsTree):
    others: ClassVar[frozenset[str]] = DeskSettings.others | (frozenset(DeskSettings.model_fields) - {"gateway"})

    gateway: _Alone = Field(default_factory=_Alone, description="market and accounts")


def read_settings(options: Mapping[str, object], *, config: Path | None) -> GatewaySettings:
    """Return the gateway's settings, overridden by `options`, which maps setting names to values.

    Raises:
        ConfigError: If a setting is invalid.
    """
    given = (Given(f"gateway.{name}", value, _option(name)) for name, value in options.items())
    return _GatewayTree.load(*given, config=config).gateway


def _option(name: str) -> str:
    return f"--{name.removesuffix('_seconds').replace('_', '-')}"
