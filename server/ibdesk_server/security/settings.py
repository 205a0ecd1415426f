"""The settings of authentication, encryption and rate limits."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, IPvAnyNetwork, field_validator, model_validator

from ibdesk.config import Section


class SecuritySettings(Section):
    """Authentication and login durations."""

    hosts: tuple[str, ...] = Field(
        (), description="host names of the server, such as desk.example.com; IP addresses are always accepted"
    )
    origins: tuple[str, ...] = Field(
        (), description="other web origins whose pages may use a login, such as http://127.0.0.1:5006"
    )
    trusted_proxies: tuple[IPvAnyNetwork, ...] = Field(
        (), description="addresses or networks of proxies whose X-Forwarded-For is trusted"
    )
    login_code_seconds: float = Field(600, gt=0, le=86_400, description="lifetime of a one-time code")
    session_seconds: float = Field(43_200, gt=0, description="duration of a browser login")
    access_seconds: float = Field(600, ge=1, le=86_400, description="lifetime of an access token")
    refresh_seconds: float = Field(
        2_592_000, ge=1, description="longest duration of a password login, including refreshes"
    )
    recheck_seconds: float = Field(
        1, ge=0, le=60, description="how long other processes may still accept a revoked key or login"
    )
    password_rounds: int = Field(3, ge=2, le=20, description="argon2 time cost: passes over its memory for a password")
    password_memory_kib: int = Field(65_536, ge=19_456, le=1_048_576, description="argon2 memory cost for a password")

    @field_validator("hosts", "origins")
    @classmethod
    def _normal(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(name.rstrip("/").lower() for name in names)


class TlsSettings(Section):
    """Encryption of connections."""

    certificate: Path | None = Field(None, description="PEM file of the certificate and its chain")
    key: Path | None = Field(None, description="PEM file of the certificate's private key")
    behind_proxy: bool = Field(
        False, description="a proxy in front of the server encrypts, and the server cannot be reached otherwise"
    )

    @model_validator(mode="after")
    def _is_whole(self) -> TlsSettings:
        if (self.certificate is None) != (self.key is None):
            raise ValueError("certificate and key belong together: set both or none")
        return self

    @property
    def on(self) -> bool:
        """Return whether the server itself encrypts."""
        return self.certificate is not None

    @property
    def encrypted(self) -> bool:
        """Return whether clients' connections are encrypted, by the server or a proxy."""
        return self.on or self.behind_proxy


class LimitSettings(Section):
    """Rate limits per minute; requests beyond them are refused with the time to wait."""

    reads_per_minute: int = Field(6_000, ge=1, description="reading requests of one user or key")
    writes_per_minute: int = Field(600, ge=1, description="changing requests of one user or key")
    logins_per_minute: int = Field(20, ge=1, description="logins and refreshes from one address")
    address_per_minute: int = Field(20_000, ge=1, description="requests of any kind from one address")
