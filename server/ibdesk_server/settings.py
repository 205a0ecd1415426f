"""The settings of the server and the dashboard, and the complete settings tree."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from pydantic import Field, SecretStr, ValidationInfo, field_validator, model_validator

from ibdesk.config import Section, state_folder
from ibdesk.desk import DeskSettings
from ibdesk_server.backtests.settings import BacktestSettings
from ibdesk_server.feed.settings import FeedSettings
from ibdesk_server.heads import HeadLimits
from ibdesk_server.security.ip_addresses import is_loopback
from ibdesk_server.security.settings import LimitSettings, SecuritySettings, TlsSettings


def _key_file(state_folder: Path) -> Path:
    return state_folder / "api.key"


class RequestSettings(Section):
    """Limits on the size and duration of requests."""

    body_bytes: int = Field(1_048_576, ge=1_024, description="maximum size of a request body")
    url_bytes: int = Field(8_192, ge=256, le=65_536, description="maximum size of path and query together")
    header_count: int = Field(100, ge=20, le=1_000, description="maximum number of header fields")
    header_bytes: int = Field(32_768, ge=2_048, le=65_536, description="maximum size of all header fields together")
    body_seconds: float = Field(15, gt=0, le=600, description="time limit for a request body to arrive")
    head_seconds: float = Field(10, gt=0, le=600, description="time limit for path and header fields to arrive")
    heads_per_address: int = Field(
        64, ge=1, description="how many connections of one address may use this time limit; any more have one second"
    )

    @property
    def heads(self) -> HeadLimits:
        """The limits on request heads."""
        return HeadLimits(seconds=self.head_seconds, per_address=self.heads_per_address)


class ServerSettings(Section):
    """The server of one desk: API and feed."""

    host: str = Field(
        "127.0.0.1", description="address to listen on; one that other machines can reach needs users and encryption"
    )
    port: int = Field(8000, ge=0, le=65_535, description="port to listen on; 0 takes any free one")
    workers: int = Field(1, ge=1, le=64, description="number of processes that serve the address")
    key_file: Path = Field(
        default_factory=lambda: _key_file(state_folder()),
        description="file with the API key, by default in state_folder; created at the first start",
    )
    strategies: Path = Field(Path("strategies"), description="folder of the strategy files that may be started")
    landing: str = Field(
        "/docs", description="page to open after a one-time login, for example the dashboard's address"
    )
    security: SecuritySettings = Field(
        default_factory=SecuritySettings, description="authentication and login durations"
    )
    tls: TlsSettings = Field(default_factory=TlsSettings, description="encryption of connections")
    limits: LimitSettings = Field(default_factory=LimitSettings, description="rate limits for each caller")
    backtests: BacktestSettings = Field(
        default_factory=BacktestSettings, description="limits on backtests over the API"
    )
    requests: RequestSettings = Field(
        default_factory=RequestSettings, description="limits on the size and duration of requests"
    )
    cors: tuple[str, ...] = Field((), description="web origins whose pages may call the API with a key or token")
    shutdown_seconds: int = Field(1, ge=1, le=60, description="how long to wait for requests in progress when stopping")
    feed: FeedSettings = Field(default_factory=FeedSettings, description="rate of the feed and number of its clients")

    @property
    def directory_file(self) -> Path:
        """The file of users and keys, in the folder of the machine's key."""
        return self.key_file.with_name("access.db")

    @property
    def token_key_file(self) -> Path:
        """The file of the key that signs access tokens, in the folder of the machine's key."""
        return self.key_file.with_name("token.key")

    @model_validator(mode="after")
    def _is_private(self) -> ServerSettings:
        if not is_loopback(self.host) and not self.tls.encrypted:
            raise ValueError(
                f"with server.host {self.host}, passwords and orders would cross the network unencrypted: set "
                "server.tls.certificate and server.tls.key, or server.tls.behind_proxy if a proxy encrypts"
            )
        return self

    @property
    def guarded(self) -> SecuritySettings:
        """The security settings, with the origins of `cors` among those whose pages may make changes."""
        return self.security.model_copy(update={"origins": (*self.security.origins, *self.cors)})


class DashboardSettings(Section):
    """The dashboard's process."""

    host: str = Field(
        "127.0.0.1", description="address to listen on; one that other machines can reach needs a proxy that encrypts"
    )
    port: int = Field(5006, ge=0, le=65_535, description="port to listen on; 0 takes any free one")
    feed: str = Field(
        "",
        pattern=r"^(wss?://.+)?$",
        description="address of the feed, such as wss://desk.example.com/feed; by default at server.port here",
    )
    key: SecretStr | None = Field(
        None,
        description="API key with which it reads the feed; by default it creates one on the server's machine",
    )
    names: tuple[str, ...] = Field((), description="host names under which browsers reach it, such as desk.example.com")
    path_prefix: str = Field(
        "",
        pattern=r"^(/[A-Za-z0-9._-]+)*$",
        description="prefix of its paths, such as /desk, behind a proxy that forwards paths unchanged",
    )
    behind_proxy: bool = Field(False, description="a proxy in front of it encrypts, and it cannot be reached otherwise")

    @model_validator(mode="after")
    def _is_private(self) -> DashboardSettings:
        if not is_loopback(self.host) and not self.behind_proxy:
            raise ValueError(
                f"with dashboard.host {self.host}, logins would cross the network unencrypted: set "
                "dashboard.behind_proxy if a proxy encrypts and the dashboard cannot be reached otherwise"
            )
        return self


class Settings(DeskSettings):
    """All settings: the desk, its server and its dashboard."""

    others: ClassVar[frozenset[str]] = frozenset()

    server: ServerSettings = Field(default_factory=ServerSettings, validate_default=True, description="API and feed")
    dashboard: DashboardSettings = Field(default_factory=DashboardSettings, description="the dashboard")

    @field_validator("server")
    @classmethod
    def _keeps_its_key_with_the_desk(cls, server: ServerSettings, info: ValidationInfo) -> ServerSettings:
        if "key_file" in server.model_fields_set or "state_folder" not in info.data:
            return server
        return server.model_copy(update={"key_file": _key_file(info.data["state_folder"])})
