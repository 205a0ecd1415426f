"""What can be set about the server and the dashboard, and the whole tree of settings that they complete."""

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
    """How large and how slow a request may be."""

    body_bytes: int = Field(1_048_576, ge=1_024, description="how long a body may be")
    url_bytes: int = Field(8_192, ge=256, le=65_536, description="how long path and query together may be")
    header_count: int = Field(100, ge=20, le=1_000, description="how many header fields there may be")
    header_bytes: int = Field(32_768, ge=2_048, le=65_536, description="how long all header fields together may be")
    body_seconds: float = Field(15, gt=0, le=600, description="how long a body may take to arrive")
    head_seconds: float = Field(10, gt=0, le=600, description="how long path and header fields may take to arrive")
    heads_per_address: int = Field(
        64, ge=1, description="how many connections of one address may take so long; any more have a second"
    )

    @property
    def heads(self) -> HeadLimits:
        """Return the limits of heads."""
        return HeadLimits(seconds=self.head_seconds, per_address=self.heads_per_address)


class ServerSettings(Section):
    """The server: API and feed of one desk."""

    host: str = Field("127.0.0.1", description="address to listen on; a wider one needs users and encryption")
    port: int = Field(8000, ge=0, le=65_535, description="port to listen on; 0 takes any free one")
    workers: int = Field(1, ge=1, le=64, description="how many processes serve the address")
    key_file: Path = Field(
        default_factory=lambda: _key_file(state_folder()),
        description="where the API key is kept, in state_folder by default; made at the first start",
    )
    strategies: Path = Field(Path("strategies"), description="folder whose files may be started")
    landing: str = Field("/docs", description="where a one-time login leads, for example the dashboard's address")
    security: SecuritySettings = Field(default_factory=SecuritySettings, description="who gets in, and for how long")
    tls: TlsSettings = Field(default_factory=TlsSettings, description="how connections are encrypted")
    limits: LimitSettings = Field(default_factory=LimitSettings, description="how much anybody may ask")
    backtests: BacktestSettings = Field(
        default_factory=BacktestSettings, description="what backtests over the API may take"
    )
    requests: RequestSettings = Field(
        default_factory=RequestSettings, description="how large and how slow a request may be"
    )
    cors: tuple[str, ...] = Field(
        (), description="web origins whose pages may call the API with a key or token; none by default"
    )
    shutdown_seconds: int = Field(1, ge=1, le=60, description="how long requests under way may take at the end")
    feed: FeedSettings = Field(default_factory=FeedSettings, description="how often the feed speaks, and to how many")

    @property
    def directory_file(self) -> Path:
        """Return where users and keys are kept: beside the machine's key."""
        return self.key_file.with_name("access.db")

    @property
    def token_key_file(self) -> Path:
        """Return where the key is kept that access tokens are signed with: beside the machine's key."""
        return self.key_file.with_name("token.key")

    @model_validator(mode="after")
    def _is_private(self) -> ServerSettings:
        if not is_loopback(self.host) and not self.tls.encrypted:
            raise ValueError(
                f"on server.host {self.host} passwords and orders would cross the network unencrypted: give a "
                "server.tls.certificate and its server.tls.key, or set server.tls.behind_proxy when a proxy encrypts"
            )
        return self

    @property
    def guarded(self) -> SecuritySettings:
        """Return who gets in, with the pages of `cors` among those that may change something."""
        return self.security.model_copy(update={"origins": (*self.security.origins, *self.cors)})


class DashboardSettings(Section):
    """The dashboard's process."""

    host: str = Field("127.0.0.1", description="address to listen on; a wider one needs a proxy that encrypts")
    port: int = Field(5006, ge=0, le=65_535, description="port to listen on; 0 takes any free one")
    feed: str = Field(
        "",
        pattern=r"^(wss?://.+)?$",
        description="address of the feed, such as wss://desk.example.com/feed; by default that of server.port here",
    )
    key: SecretStr | None = Field(
        None, description="API key that it reads the feed with; by default one that it makes on the server's machine"
    )
    names: tuple[str, ...] = Field((), description="names by which browsers call it, such as desk.example.com")
    path_prefix: str = Field(
        "",
        pattern=r"^(/[A-Za-z0-9._-]+)*$",
        description="what its paths begin with, such as /desk, behind a proxy that passes paths on as they are",
    )
    behind_proxy: bool = Field(
        False, description="a proxy in front of it does the encryption, and nobody else can reach it"
    )

    @model_validator(mode="after")
    def _is_private(self) -> DashboardSettings:
        if not is_loopback(self.host) and not self.behind_proxy:
            raise ValueError(
                f"on dashboard.host {self.host} logins would cross the network unencrypted: set "
                "dashboard.behind_proxy when a proxy encrypts, and nobody else can reach it"
            )
        return self


class Settings(DeskSettings):
    """Everything that can be set: the desk, its server and its dashboard."""

    others: ClassVar[frozenset[str]] = frozenset()

    server: ServerSettings = Field(default_factory=ServerSettings, validate_default=True, description="API and feed")
    dashboard: DashboardSettings = Field(default_factory=DashboardSettings, description="the dashboard")

    @field_validator("server")
    @classmethod
    def _keeps_its_key_with_the_desk(cls, server: ServerSettings, info: ValidationInfo) -> ServerSettings:
        if "key_file" in server.model_fields_set or "state_folder" not in info.data:
            return server
        return server.model_copy(update={"key_file": _key_file(info.data["state_folder"])})
