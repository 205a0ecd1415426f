"""API keys of programs, with a role, scopes and a limited lifetime. For admins."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Path
from pydantic import BaseModel, ConfigDict, Field, field_validator

from ibdesk.model import moment
from ibdesk.model.duration import parse_duration
from ibdesk_server.answers.base import ApiAnswer, Moment
from ibdesk_server.dependencies import Caller, TheSecurity, api_router
from ibdesk_server.security.keys import ApiKey
from ibdesk_server.security.principal import Role

router = api_router("keys", role=Role.ADMIN)

_Scopes = Annotated[
    list[Annotated[str, Field(max_length=40)]] | None,
    Field(
        max_length=40,
        description="areas that the key is limited to, each optionally with :read or :write; null means no limit",
    ),
]


class KeyAnswer(ApiAnswer):
    """The data of a key, without the key itself."""

    name: str = Field(examples=["grafana"])
    prefix: str = Field(description="the part of the key after `ibk_`", examples=["k3v8t2q9"])
    role: Role = Field(examples=[Role.VIEWER.value])
    scopes: list[str] | None = Field(examples=[["feed", "orders:read"]])
    created_by: str = Field(examples=["ann"])
    created_at: Moment
    expires_at: Moment
    used_at: Moment | None = Field(description="time of the last use, to the minute; null if never used")
    revoked: bool


class NewKeyAnswer(KeyAnswer):
    """A new key, which is shown only once."""

    key: str = Field(repr=False, description="the key; store it, because it is not shown again")


class NewKey(BaseModel):
    """The request for a new key."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(max_length=64, examples=["grafana"])
    role: Role = Field(Role.VIEWER, examples=[Role.VIEWER.value])
    scopes: _Scopes = Field(None, examples=[["feed", "orders:read"]])
    expires: str = Field("90d", max_length=40, description="lifetime: 90d, 12h, or ISO 8601", examples=["90d"])

    @property
    def days(self) -> float:
        """Return the lifetime in days."""
        return parse_duration(self.expires) / 86_400

    @field_validator("expires")
    @classmethod
    def _is_a_duration(cls, text: str) -> str:
        parse_duration(text)
        return text


@router.get("/keys", summary="List keys")
async def keys(security: TheSecurity) -> list[KeyAnswer]:
    """Return the data of all keys ever created, oldest first."""
    return [KeyAnswer(**_facts(key)) for key in await security.aside(security.keys.all)]


@router.post("/keys", status_code=201, summary="Create a key")
async def create(given: NewKey, caller: Caller, security: TheSecurity) -> NewKeyAnswer:
    """Create a key and return it; it is not shown again."""
    secret, key = await security.change(
        security.keys.create, given.name, given.role, days=given.days, scopes=given.scopes, by=caller.name
    )
    return NewKeyAnswer(**_facts(key), key=secret)


@router.delete("/keys/{name}", summary="Revoke a key")
async def revoke(
    name: Annotated[str, Path(min_length=1, max_length=64, description="name or prefix", examples=["grafana"])],
    security: TheSecurity,
) -> KeyAnswer:
    """Revoke a key permanently. Its name cannot be reused, so that the audit log stays unambiguous."""
    return KeyAnswer(**_facts(await security.change(security.keys.revoke, name)))


def _facts(key: ApiKey) -> dict[str, Any]:
    return {
        "name": key.name,
        "prefix": key.prefix,
        "role": key.role,
        "scopes": None if key.scopes is None else sorted(key.scopes),
        "created_by": key.created_by,
        "created_at": moment(key.created_ns),
        "expires_at": moment(key.expires_ns),
        "used_at": None if key.used_ns is None else moment(key.used_ns),
        "revoked": key.revoked,
    }
