"""Users who log in by name and password. For admins."""

from __future__ import annotations

from typing import Annotated

from fastapi import Path, Response
from pydantic import BaseModel, ConfigDict, Field, SecretStr

from ibdesk.model import moment
from ibdesk_server.answers.base import ApiAnswer, Moment
from ibdesk_server.dependencies import TheLoginService, TheSecurity, api_router
from ibdesk_server.security.principal import Role
from ibdesk_server.security.users import User

router = api_router("users", role=Role.ADMIN)

Name = Annotated[str, Path(min_length=1, max_length=64, description="the user's name", examples=["vera"])]
_Password = Annotated[
    SecretStr, Field(max_length=1_024, description="12 characters or more", examples=["four words nobody guesses"])
]


class UserAnswer(ApiAnswer):
    """A user, without the password."""

    name: str = Field(examples=["vera"])
    role: Role = Field(examples=[Role.VIEWER.value])
    disabled: bool
    created_at: Moment


class NewUser(BaseModel):
    """The request for a new user."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(max_length=64, examples=["vera"])
    role: Role = Field(examples=[Role.VIEWER.value])
    password: _Password


class UserChange(BaseModel):
    """Changes to a user; fields not given stay the same."""

    model_config = ConfigDict(extra="forbid")

    role: Role | None = Field(None, examples=[Role.TRADER.value])
    disabled: bool | None = None
    password: _Password | None = None


@router.get("/users", summary="List users")
async def users(security: TheSecurity) -> list[UserAnswer]:
    """Return the users, by name."""
    return [_answer(user) for user in await security.aside(security.users.all)]


@router.post("/users", status_code=201, summary="Add a user")
async def add(given: NewUser, response: Response, security: TheSecurity, login_service: TheLoginService) -> UserAnswer:
    """Add a user."""
    password_hash = await login_service.hash_of(given.password.get_secret_value(), name=given.name)
    user = await security.change(security.users.add, given.name, given.role, password_hash)
    response.headers["Location"] = f"/api/v1/users/{user.name}"
    return _answer(user)


@router.get("/users/{name}", summary="Show a user")
async def user(name: Name, security: TheSecurity) -> UserAnswer:
    """Return a user."""
    return _answer(await security.aside(security.users.get, name))


@router.patch("/users/{name}", summary="Change a user")
async def change(name: Name, given: UserChange, security: TheSecurity, login_service: TheLoginService) -> UserAnswer:
    """Change a user's role or password, or disable or enable the user; all logins of the user end."""
    if given.password is not None:
        password_hash = await login_service.hash_of(given.password.get_secret_value(), name=name)
        await security.change(security.users.set_password, name, password_hash)
    if given.role is not None:
        await security.change(security.users.set_role, name, given.role)
    if given.disabled is not None:
        await security.change(security.users.set_disabled, name, disabled=given.disabled)
    return await user(name, security)


@router.delete("/users/{name}", status_code=204, summary="Delete a user")
async def remove(name: Name, security: TheSecurity) -> None:
    """Delete a user and end all their logins."""
    await security.change(security.users.remove, name)


@router.post("/users/{name}/revoke", status_code=204, summary="End all logins of a user")
async def revoke(name: Name, security: TheSecurity) -> None:
    """Invalidate all tokens and cookies of a user, who may log in again."""
    await security.change(security.users.revoke, name)


def _answer(user: User) -> UserAnswer:
    return UserAnswer(name=user.name, role=user.role, disabled=user.disabled, created_at=moment(user.created_ns))
