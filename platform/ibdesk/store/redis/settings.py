"""The settings of Redis: its address and time limits."""

from __future__ import annotations

from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator

_SCHEMES = ("redis", "rediss", "unix")


class RedisSettings(BaseModel):
    """One Redis, shared by the processes of a desk. It is optional: without a `url` there is none."""

    # The url holds the password: a wrong one must not be shown in the error about it.
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    url: SecretStr | None = Field(
        None, description="redis://[user:password@]host:port/db, rediss:// with TLS, or unix:///path; none by default"
    )
    prefix: str = Field("ibdesk", pattern=r"^[A-Za-z0-9_.-]+$", description="prefix of every key, followed by a colon")
    connections: int = Field(16, ge=2, le=1_000, description="maximum connections of one process")
    timeout_seconds: float = Field(0.5, gt=0, le=30, description="time limit of one call, including the connection")
    failures_to_open: int = Field(3, ge=1, description="failures in a row after which calls pause")
    rest_seconds: float = Field(1.0, gt=0, le=300, description="length of that pause before Redis is tried again")

    lease_seconds: float = Field(3.0, ge=0.2, le=300, description="time after which a standby replaces a lost engine")
    lease_name: str = Field("", description="name of the lease; by default the account, or TWS and client id")
    trade_without: bool = Field(
        True, description="the engine continues over its connection to TWS while Redis cannot name the leader"
    )

    journal_megabytes: int = Field(
        512, ge=1, le=100_000, description="maximum of a journal that is kept in Redis for standbys elsewhere"
    )

    @field_validator("url")
    @classmethod
    def _is_understood(cls, url: SecretStr | None) -> SecretStr | None:
        if url is None or not url.get_secret_value():
            return None
        parts = urlsplit(url.get_secret_value())
        if parts.scheme not in _SCHEMES:
            raise ValueError(f"a Redis url must begin with {', '.join(f'{scheme}://' for scheme in _SCHEMES)}")
        if not (parts.path if parts.scheme == "unix" else parts.hostname):
            raise ValueError(
                "a Redis url must name a host, as in redis://127.0.0.1:6379/0, or a path, as in unix:///run/s"
            )
        return url

    @property
    def address(self) -> str:
        """Return the address without user and password, for messages; empty if there is no url."""
        if self.url is None:
            return ""
        parts = urlsplit(self.url.get_secret_value())
        if parts.scheme == "unix":
            return parts.path
        return f"{parts.hostname}:{parts.port or 6379}"

    def key(self, *parts: str) -> str:
        """Return the full name of a key."""
        return ":".join((self.prefix, *parts))
