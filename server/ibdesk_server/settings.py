"""What can be set about the server and the dashboard, and the whole tree of settings that they complete."""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import ClassVar

from pydantic import Field, field_validator

from ibdesk.config import Section, state_folder
from ibdesk.desk import DeskSettings
from ibdesk_server.feed.settings import FeedSettings
from ibdesk_server.security.settings import LimitSettings, SecuritySettings, TlsSettings


def key_file() -> Path:
    """Return where the API key is kept unless a setting says otherwise: beside the journals."""
    return state_folder() / "api.key"


class ServerSettings(Section):
    """The server: API and feed of one desk."""

    host: str = Field("127.0.0.1", description="address to listen on; this machine only, until there are users")
    port: int = Field(8000, ge=0, le=65_535, description="port to listen on; 0 takes any free one")
    workers: int = Field(1, ge=1, le=64, description="how many processes serve the address")
    key_file: Path = Field(default_factory=key_file, description="where the API key is kept; made at the first start")
    strategies: Path = Field(Path("strategies"), description="folder whose files may be started")
    landing: str = Field("/docs", description="where a one-time login leads, for example the dashboard's address")
    security: SecuritySettings = Field(default_factory=SecuritySettings, description="who gets in, and for how long")
    tls: TlsSettings = Field(default_factory=TlsSettings, description="how connections are encrypted")
    limits: LimitSettings = Field(default_factory=LimitSettings, description="how much anybody may ask")
    max_body_bytes: int = Field(1_048_576, ge=1_024, description="how long a request's body may be")
    shutdown_seconds: int = Field(1, ge=1, le=60, description="how long requests under way may take at the end")
    feed: FeedSettings = Field(default_factory=FeedSettings, description="how often the feed speaks, and to how many")

    @field_validator("host")
    @classmethod
    def _is_loopback(cls, host: str) -> str:
        if host == "localhost" or (_is_address(host) and ipaddress.ip_address(host).is_loopback):
            return host
        raise ValueError(
            "the server has one key and no users, so it listens on this machine only: use 127.0.0.1, ::1 or "
            "localhost, and a reverse proxy with its own login to reach it from elsewhere"
        )


class DashboardSettings(Section):
    """The dashboard's process."""

    host: str = Field("127.0.0.1", description="address to listen on")
    port: int = Field(5006, ge=0, le=65_535, description="port to listen on; 0 takes any free one")


class Settings(DeskSettings):
    """Everything that can be set: the desk, its server and its dashboard."""

    others: ClassVar[frozenset[str]] = frozenset()

    server: ServerSettings = Field(default_factory=ServerSettings, description="API and feed")
    dashboard: DashboardSettings = Field(default_factory=DashboardSettings, description="the dashboard")


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
