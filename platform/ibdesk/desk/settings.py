"""What a desk needs to know before it opens; every setting can come from the environment.

``IBDESK_MODE=paper IBDESK_TWS__PORT=4002 IBDESK_RISK__MAX_POSITION=500``: a section and its setting are joined by
two underscores.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, get_args

import msgspec
from pydantic import Field, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from ibdesk.config import Mode, state_folder
from ibdesk.engine import RiskLimits
from ibdesk.errors import ConfigError
from ibdesk.gateway import GatewaySettings
from ibdesk.tws import TwsSettings


class DeskSettings(BaseSettings):
    """One desk: what it connects to, what it may risk, and where it keeps its journal."""

    model_config = SettingsConfigDict(
        env_prefix="IBDESK_", env_nested_delimiter="__", frozen=True, extra="forbid", arbitrary_types_allowed=True
    )

    mode: Mode = Field("embedded", description="embedded gateway, paper account or live money")
    tws: TwsSettings = Field(default_factory=TwsSettings, description="where TWS is and who we are to it")
    gateway: GatewaySettings = Field(
        default_factory=lambda: GatewaySettings(port=0), description="the embedded gateway's market and account"
    )
    risk: RiskLimits = Field(default_factory=RiskLimits, description="what the risk gate allows")
    state_folder: Path = Field(default_factory=state_folder, description="folder of journals and marks")

    @model_validator(mode="before")
    @classmethod
    def _from_environment(cls, values: Any) -> Any:
        """Take single settings of `risk` and `gateway` from the environment; given ones go first."""
        for section in ("risk", "gateway"):
            prefix = f"IBDESK_{section.upper()}__"
            found = {key[len(prefix) :].lower(): text for key, text in os.environ.items() if key.startswith(prefix)}
            given = values.get(section, {})
            if found and isinstance(given, dict):
                values = values | {section: found | given}
        return values

    @field_validator("risk", "gateway", mode="before")
    @classmethod
    def _from_figures(cls, value: Any, info: Any) -> Any:
        """Read a section that is written as figures by name, as the environment and TOML give it."""
        kind = RiskLimits if info.field_name == "risk" else GatewaySettings
        if not isinstance(value, dict):
            return value
        unknown = set(value) - set(kind.__struct_fields__)
        if unknown:
            known = ", ".join(kind.__struct_fields__)
            raise ValueError(f"there is no setting {', '.join(sorted(unknown))}; there are {known}")
        if kind is GatewaySettings:
            # A gateway inside the desk is found by the desk alone: any free port does.
            value = {"port": 0} | value
        try:
            return msgspec.convert(value, kind, strict=False, dec_hook=lambda wanted, given: wanted(given))
        except msgspec.ValidationError as error:
            raise ValueError(str(error)) from None

    @classmethod
    def make(cls, mode: str = "embedded", **settings: Any) -> DeskSettings:
        """Return settings for a mode; `host`, `port`, `client_id` and `account` are short for those of ``tws``.

        Raises:
            ConfigError: If one is unknown or out of its range; the sentence names each.
        """
        if mode not in get_args(Mode):
            raise ConfigError(f"mode must be one of {', '.join(get_args(Mode))}, got {mode!r}")
        tws = dict(settings.pop("tws", {}))
        tws |= {name: settings.pop(name) for name in ("host", "port", "client_id", "account") if name in settings}
        tws["mode"] = "live" if mode == "live" else "paper"
        try:
            made = cls(mode=mode, tws=tws, **settings)  # type: ignore[arg-type] # pydantic turns dicts into sections
        except ValidationError as error:
            faults = "; ".join(
                f"{'.'.join(str(part) for part in fault['loc']) or 'desk'}: {fault['msg']}" for fault in error.errors()
            )
            raise ConfigError(f"these settings cannot be used: {faults}") from None
        if mode != "embedded":
            made.tws.check()
        return made
