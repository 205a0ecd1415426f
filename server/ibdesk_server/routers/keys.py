"""How programs come in: keys with a role, narrowed to what they need, for a limited time. For admins."""

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
    Field(max_length=40, description="areas the key is narrowed to, alone or with :read or :write; null for none"),
]


class KeyAnswer(ApiAnswer):
    """What is known of a key, which is all but the key."""

    name: str = Field(examples=["grafana"])
    prefix: str = Field(description="stands in the key after `ibk_`", examples=["k3v8t2q9"])
    role: Role = Field(examples=[Role.VIEWER.value])
    scopes: list[str] | None = Field(examples=[["feed", "orders:read"]])
    created_by: str = Field(examples=["ann"])
    created_at: Moment
    expires_at: Moment
    used_at: Moment | None = Field(description="when it was last used, to the minute; null for never")
    revoked: bool


class NewKeyAnswer(KeyAnswer):
    """A new key, shown this once."""

    key: str = Field(repr=False, description="keep it: it is not shown again")


class NewKey(BaseModel):
    """A key to be."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(max_length=64, examples=["grafana"])
    role: Role = Field(Role.VIEWER, examples=[Role.VIEWER.value])
    scopes: _Scopes = Field(None, examples=[["feed", "orders:read"]])
    expires: str = Field(
        "90d", max_length=40, description="how long it is good for: 90d, 12h, or ISO 8601", examples=["90d"]
    )

    @property
    def days(self) -> float:
        """Return how long it is good for, in days."""
        return parse_duration(self.expires) / 86_400

    @field_validator("expires")
    @classmethod
    def _is_a_duration(cls, text: str) -> str:
        parse_duration(text)
        return text


@router.get("/keys", summary="All keys")
async def keys(security: TheSecurity) -> list[KeyAnswer]:
    """Return the keys that were ever made, the oldest first; none can be read from it."""
    return [KeyAnswer(**_facts(key)) for key in await security.aside(security.keys.all)]


@router.post("/keys", status_code=201, summary="Make a key")
async def create(given: NewKey, caller: Caller, security: TheSecurity) -> NewKeyAnswer:
    """Make a key and return it, this once."""
    secret, key = await security.change(
        security.keys.create, given.name, given.role, days=given.days, scopes=given.scopes, by=caller.name
    )
    return NewKeyAnswer(**_facts(key), key=secret)


@router.delete("/keys/{name}", summary="Revoke a key")
async def revoke(
    name: Annotated[str, Path(min_length=1, max_length=64, description="name or prefix", examples=["grafana"])],
    security: TheSecurity,
) -> KeyAnswer:
    """Revoke a key permanently; its name stays taken, so that the record of what it did stays clear."""
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
