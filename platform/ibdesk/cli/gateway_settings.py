"""What `ibdesk gateway` reads of the tree of settings: the section of the gateway, with defaults of its own."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from pydantic import Field

from ibdesk.config import Given, SettingsTree
from ibdesk.desk import DeskSettings
from ibdesk.gateway import GatewaySettings


class _Alone(GatewaySettings):
    """A gateway as a program of its own: as strict with its clients as TWS is."""

    pacing: bool = Field(True, description="let clients ask no more than TWS allows, on the gateway's clock")


class _GatewayTree(SettingsTree):
    others: ClassVar[frozenset[str]] = DeskSettings.others | (frozenset(DeskSettings.model_fields) - {"gateway"})

    gateway: _Alone = Field(default_factory=_Alone, description="market and accounts")


def read_settings(options: Mapping[str, object], *, config: Path | None) -> GatewaySettings:
    """Return the settings of a gateway; options, by the name of their setting, are on top of them.

    Raises:
        ConfigError: If one cannot be used.
    """
    given = (Given(f"gateway.{name}", value, _option(name)) for name, value in options.items())
    return _GatewayTree.load(*given, config=config).gateway


def _option(name: str) -> str:
    return f"--{name.removesuffix('_seconds').replace('_', '-')}"
