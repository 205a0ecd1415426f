"""What can be set about the server; a wrong value stops the start with one sentence that names it."""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from ibdesk.config import state_folder
from ibdesk.errors import ConfigError
from ibdesk_server.feed.hub import FeedLimits
from ibdesk_server.feed.subscriber import Budget

ENV_PREFIX = "IBDESK_SERVER_"


def key_file() -> Path:
    """Return where the API key is kept unless a setting says otherwise: beside the journals."""
    return state_folder() / "api.key"


class ServerSettings(BaseSettings):
    """The server's settings; each can be given as ``IBDESK_SERVER_<NAME>`` in the environment."""

    model_config = SettingsConfigDict(env_prefix=ENV_PREFIX, extra="forbid", frozen=True)

    host: str = Field("127.0.0.1", description="address to listen on; this machine only, until there are users")
    port: int = Field(8000, ge=0, le=65_535, description="port to listen on; 0 takes any free one")
    key_file: Path = Field(default_factory=key_file, description="where the API key is kept; made at the first start")
    strategies: Path = Field(Path("strategies"), description="folder whose files may be started")
    landing: str = Field("/docs", description="where a one-time login leads, for example the dashboard's address")
    origins: tuple[str, ...] = Field(
        (), description="other web origins that may use a login, such as http://127.0.0.1:5006"
    )
    login_code_seconds: float = Field(600, gt=0, le=86_400, description="how long a one-time code is good for")
    session_seconds: float = Field(43_200, gt=0, description="how long a login lasts")
    max_body_bytes: int = Field(1_048_576, ge=1_024, description="how long a request's body may be")
    shutdown_seconds: int = Field(1, ge=1, le=60, description="how long requests under way may take at the end")

    flush_seconds: float = Field(0.05, gt=0, le=1, description="the longest a change waits in the feed under load")
    heartbeat_seconds: float = Field(5, gt=0, le=300, description="after how much silence the feed sends a ping")
    auth_seconds: float = Field(5, gt=0, le=60, description="how long a feed client has to say who it is")
    client_budget_bytes: int = Field(4_194_304, ge=1_024, description="how many bytes a client may fall behind")
    client_budget_seconds: float = Field(10, gt=0, le=600, description="how long a client may be behind")
    replay_bytes: int = Field(8_388_608, ge=1_024, description="how much of a topic is kept for clients to resume")
    max_clients: int = Field(2_000, ge=1, description="how many feed clients there may be")

    @field_validator("host")
    @classmethod
    def _is_loopback(cls, host: str) -> str:
        if host == "localhost" or (_is_address(host) and ipaddress.ip_address(host).is_loopback):
            return host
        raise ValueError(
            "the server has one key and no users, so it listens on this machine only: use 127.0.0.1, ::1 or "
            "localhost, and a reverse proxy with its own login to reach it from elsewhere"
        )

    @field_validator("key_file", "strategies")
    @classmethod
    def _expand(cls, path: Path) -> Path:
        return path.expanduser()

    @classmethod
    def load(cls, **given: Any) -> ServerSettings:
        """Return the settings: what is given, else the environment, else the default.

        Raises:
            ConfigError: If a value is wrong; the sentence names each setting and its variable.
        """
        try:
            return cls(**given)
        except ValidationError as error:
            faults = "; ".join(_fault(fault["loc"], fault["msg"]) for fault in error.errors())
            raise ConfigError(f"the server cannot start with these settings: {faults}") from None

    @property
    def feed_limits(self) -> FeedLimits:
        """Return the limits of the feed."""
        return FeedLimits(
            flush_seconds=self.flush_seconds,
            heartbeat_seconds=self.heartbeat_seconds,
            auth_seconds=self.auth_seconds,
            budget=Budget(self.client_budget_bytes, self.client_budget_seconds),
            # A client within its budget can always be brought up to date.
            replay_bytes=max(self.replay_bytes, self.client_budget_bytes),
            clients=self.max_clients,
        )


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _fault(location: tuple[int | str, ...], message: str) -> str:
    name = ".".join(str(part) for part in location)
    return f"{name} ({ENV_PREFIX}{name.upper()}): {message.removeprefix('Value error, ')}"
