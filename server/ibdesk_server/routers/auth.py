"""Logins by name and password: short-lived access tokens, and refresh tokens that work once."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, HTTPException, Request
from pydantic import BaseModel, ConfigDict, Field, SecretStr

from ibdesk_server.answers.base import ApiAnswer
from ibdesk_server.dependencies import Caller, TheBudgets, TheLoginService, TheSecurity, needs
from ibdesk_server.security.login_service import Admission, LoginDelayedError, LoginRefusedError
from ibdesk_server.security.passwords import TooManyChecksError
from ibdesk_server.security.principal import Principal, ProofKind, Role
from ibdesk_server.strict import StrictRoute

router = APIRouter(prefix="/api/v1/auth", tags=["login"], route_class=StrictRoute)

_Secret = Annotated[SecretStr, Field(max_length=1_024)]


class LoginRequest(BaseModel):
    """The credentials of a login."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(max_length=64, examples=["vera"])
    password: _Secret = Field(examples=["four words nobody guesses"])


class RefreshRequest(BaseModel):
    """The current refresh token of a login."""

    model_config = ConfigDict(extra="forbid")

    refresh_token: _Secret


class AdmissionAnswer(ApiAnswer):
    """The tokens of a login; the refresh token works once."""

    name: str = Field(examples=["vera"])
    role: Role = Field(examples=[Role.VIEWER.value])
    token_type: Literal["Bearer"] = "Bearer"  # noqa: S105 - a kind of token, not a token
    access_token: str = Field(repr=False)
    refresh_token: str = Field(repr=False)
    expires_in: float = Field(description="lifetime of the access token in seconds", examples=[600])


class CallerAnswer(ApiAnswer):
    """The caller as the server authenticated it."""

    name: str = Field(examples=["vera"])
    role: Role = Field(examples=[Role.VIEWER.value])
    kind: ProofKind = Field(examples=[ProofKind.TOKEN.value])
    scopes: list[str] | None = Field(description="scopes that limit the role; null if unlimited", examples=[None])


@router.post("/login", summary="Log in by name and password")
async def login(
    given: LoginRequest, request: Request, security: TheSecurity, budgets: TheBudgets, login_service: TheLoginService
) -> AdmissionAnswer:
    """Return an access token that lives for some minutes, and the refresh token for the next one.

    After some failures, each further try with this name or from this address has to wait longer.
    """
    await _require_admissible(request, security, budgets)
    try:
        admission = await login_service.sign_in(
            given.name, given.password.get_secret_value(), address=security.addresses.client(request.scope)
        )
    except LoginRefusedError as error:
        raise HTTPException(401, str(error), {"WWW-Authenticate": "Bearer"}) from None
    except LoginDelayedError as error:
        raise HTTPException(429, str(error), {"Retry-After": f"{error.seconds:.0f}"}) from None
    except TooManyChecksError as error:
        raise HTTPException(503, str(error), {"Retry-After": "5"}) from None
    # The audit log reads this after the request.
    request.state.principal = Principal(admission.name, admission.role, ProofKind.TOKEN)
    return _answer(admission)


@router.post("/refresh", summary="Exchange a refresh token for the next tokens")
async def refresh(
    given: RefreshRequest, request: Request, security: TheSecurity, budgets: TheBudgets, login_service: TheLoginService
) -> AdmissionAnswer:
    """Return the next access and refresh tokens. Reusing an old refresh token ends the whole login."""
    await _require_admissible(request, security, budgets)
    try:
        return _answer(await login_service.refresh(given.refresh_token.get_secret_value()))
    except LoginRefusedError as error:
        raise HTTPException(401, str(error), {"WWW-Authenticate": "Bearer"}) from None


@router.post("/logout", status_code=204, dependencies=[needs(Role.VIEWER)], summary="End this login")
async def logout(caller: Caller, login_service: TheLoginService) -> None:
    """End the caller's login; its access and refresh tokens become invalid."""
    await login_service.sign_out(caller)


@router.get("/me", dependencies=[needs(Role.VIEWER)], summary="Show the caller")
async def me(caller: Caller) -> CallerAnswer:
    """Return the caller's name and role."""
    return _caller(caller)


async def _require_admissible(request: Request, security: TheSecurity, budgets: TheBudgets) -> None:
    if not security.allows_origin(request.headers):
        raise HTTPException(403, "pages of another site may not change anything here")
    standing = await budgets.spend(budgets.logins, security.addresses.client(request.scope))
    request.state.standing = standing
    if not standing.allowed:
        raise HTTPException(429, f"too many logins from this address: {standing.limit:,} a minute are allowed")


def _answer(admission: Admission) -> AdmissionAnswer:
    return AdmissionAnswer(
        name=admission.name,
        role=admission.role,
        access_token=admission.access_token,
        refresh_token=admission.refresh_token,
        expires_in=admission.seconds,
    )


def _caller(caller: Principal) -> CallerAnswer:
    scopes = None if caller.scopes is None else sorted(caller.scopes)
    return CallerAnswer(name=caller.name, role=caller.role, kind=caller.kind, scopes=scopes)
