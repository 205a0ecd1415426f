"""Where Redis is, and how long we wait for it."""

from __future__ import annotations

from pydantic import Field, SecretStr, field_validator

from ibdesk.config import Section

_SCHEMES = ("redis://", "rediss://", "unix://")


class RedisSettings(Section):
    """The Redis server that several processes or machines share; a desk in one process needs none."""

    url: SecretStr | None = Field(
        None, description="address with password: redis://, rediss:// (TLS) or unix://; none: everything in memory"
    )
    prefix: str = Field("ibdesk", min_length=1, description="begins every key, so that several desks share one server")
    connect_timeout_seconds: float = Field(2.0, gt=0, le=60, description="wait for a connection")
    command_timeout_seconds: float = Field(1.0, gt=0, le=60, description="wait for the answer to a command")

    @field_validator("url")
    @classmethod
    def _is_of_redis(cls, url: SecretStr | None) -> SecretStr | None:
        if url is not None and not url.get_secret_value().startswith(_SCHEMES):
            raise ValueError(f"it should begin with {', '.join(_SCHEMES)}")
        return url
