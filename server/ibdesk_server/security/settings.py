"""What can be set about who gets in, how connections are encrypted, and how much anybody may ask."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, IPvAnyNetwork, field_validator, model_validator

from ibdesk.config import Section


class SecuritySettings(Section):
    """Who gets in, and for how long."""

    hosts: tuple[str, ...] = Field(
        (), description="names by which clients call the server, such as desk.example.com; addresses always go"
    )
    origins: tuple[str, ...] = Field(
        (), description="other web origins that may use a login, such as http://127.0.0.1:5006"
    )
    trusted_proxies: tuple[IPvAnyNetwork, ...] = Field(
        (), description="addresses or networks of proxies whose X-Forwarded-For is believed"
    )
    login_code_seconds: float = Field(600, gt=0, le=86_400, description="how long a one-time code is good for")
    session_seconds: float = Field(43_200, gt=0, description="how long a browser's login lasts")
    access_seconds: float = Field(600, ge=1, le=86_400, description="how long an access token is good for")
    refresh_seconds: float = Field(
        2_592_000, ge=1, description="how long a login by password lasts, however often it is refreshed"
    )
    recheck_seconds: float = Field(
        1, ge=0, le=60, description="how long a revoked key or login may still be accepted by other processes"
    )
    password_rounds: int = Field(3, ge=2, le=20, description="how often argon2 passes over its memory for a password")
    password_memory_kib: int = Field(
        65_536, ge=19_456, le=1_048_576, description="how much memory argon2 fills for a password"
    )

    @field_validator("hosts", "origins")
    @classmethod
    def _normal(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(name.rstrip("/").lower() for name in names)


class TlsSettings(Section):
    """How connections are encrypted."""

    certificate: Path | None = Field(None, description="PEM file of the certificate, and those that vouch for it")
    key: Path | None = Field(None, description="PEM file of the certificate's private key")
    behind_proxy: bool = Field(
        False, description="a proxy in front of the server does the encryption, and nobody else can reach the server"
    )

    @model_validator(mode="after")
    def _is_whole(self) -> TlsSettings:
        if (self.certificate is None) != (self.key is None):
            raise ValueError("certificate and key belong together: give both or none")
        return self

    @property
    def on(self) -> bool:
        """Return whether the server itself encrypts."""
        return self.certificate is not None

    @property
    def encrypted(self) -> bool:
        """Return whether what a browser sees is encrypted."""
        return self.on or self.behind_proxy


class LimitSettings(Section):
    """How much anybody may ask in a minute; what is beyond it is refused with the time to wait."""

    reads_per_minute: int = Field(6_000, ge=1, description="requests of one user or key that change nothing")
    writes_per_minute: int = Field(600, ge=1, description="requests of one user or key that change something")
    logins_per_minute: int = Field(20, ge=1, description="logins and refreshes from one address")
    address_per_minute: int = Field(20_000, ge=1, description="requests of any kind from one address")
