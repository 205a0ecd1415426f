"""Login and logout by name and password, one-time code or refresh token."""

from __future__ import annotations

import msgspec
from starlette.datastructures import Headers

from ibdesk_server.security.errors import AccessError
from ibdesk_server.security.guard import Security
from ibdesk_server.security.logins import Login
from ibdesk_server.security.passwords import Passwords, require_good
from ibdesk_server.security.presented import presented_cookie
from ibdesk_server.security.principal import Principal, ProofKind, Role
from ibdesk_server.security.throttle import Throttle

_WRONG = "wrong name or password, or the user is disabled"
_ENDED = "this login has ended: log in again"


class LoginRefusedError(AccessError):
    """A login was refused; the message does not say which part was wrong."""


class LoginDelayedError(AccessError):
    """After too many failures, the next try has to wait for `seconds`."""

    def __init__(self, seconds: float) -> None:
        super().__init__(seconds)
        self.seconds = seconds

    def __str__(self) -> str:
        return f"too many logins have failed: try again in {self.seconds:g} s"


class Admission(msgspec.Struct, frozen=True):
    """The tokens of a password login; `seconds` is the lifetime of the access token."""

    name: str
    role: Role
    access_token: str
    refresh_token: str
    seconds: float

    def __repr__(self) -> str:
        return f"Admission(name={self.name!r}, role={self.role})"


class LoginService:
    """Logs users in and out of a server."""

    def __init__(self, security: Security) -> None:
        self._security = security
        settings = security.settings
        self._passwords = Passwords(rounds=settings.password_rounds, memory_kib=settings.password_memory_kib)
        self._throttle = Throttle(security.directory)

    async def sign_in(self, name: str, password: str, *, address: str) -> Admission:
        """Log in and return the tokens.

        Raises:
            LoginDelayedError: If this name or address has to wait.
            LoginRefusedError: If name or password is wrong.
            TooManyChecksError: If too many logins are waiting.
        """
        security = self._security
        wait = await security.aside(self._throttle.begin, name, address)
        if wait:
            raise LoginDelayedError(wait)
        kept = await security.aside(security.users.password_of, name)
        verdict = await self._passwords.check(kept, password)
        user = await security.aside(security.users.find, name)
        if kept is None or not verdict.right or user is None or user.disabled:
            raise LoginRefusedError(_WRONG)
        await security.aside(self._throttle.succeeded, name, address)
        if verdict.better_hash is not None:
            await security.aside(security.users.improve_hash, name, kept, verdict.better_hash)
        login, refresh_token = await security.aside(security.logins.start, user.name, user.generation)
        return self._admission(login, user.role, refresh_token)

    async def refresh(self, refresh_token: str) -> Admission:
        """Return the next tokens of a login; the previous ones become invalid.

        Raises:
            LoginRefusedError: If the token is not the current one of an active login.
        """
        security = self._security
        renewed = await security.change(security.logins.refresh, refresh_token)
        if renewed is None:
            raise LoginRefusedError(_ENDED)
        login, following = renewed
        user = await security.aside(security.users.find, login.user)
        if user is None or user.disabled or user.generation != login.generation:
            raise LoginRefusedError(_ENDED)
        return self._admission(login, user.role, following)

    async def sign_out(self, principal: Principal) -> None:
        """End the login of the caller's token."""
        if principal.kind is ProofKind.TOKEN:
            await self._security.change(self._security.logins.end, principal.proof_id)

    async def hash_of(self, password: str, *, name: str) -> str:
        """Check a new password and return its hash.

        Raises:
            AccessError: If the password breaks the rules.
            TooManyChecksError: If too many checks are waiting.
        """
        require_good(password, name)
        return await self._passwords.hash_aside(password)

    async def open_session(self, code: str) -> str | None:
        """Exchange a one-time code for a session's cookie value; None if the code is not valid (any more)."""
        security = self._security
        principal = await security.aside(security.codes.use_up, code)
        if principal is None or not await security.aside(security.is_current, principal):
            return None
        return await security.aside(security.sessions.issue, principal)

    async def begin_session(self, principal: Principal) -> str:
        """Return a session's cookie value for a caller with an access token.

        Raises:
            AccessError: If the caller has another proof, which may allow less than the user's role.
        """
        if principal.kind is not ProofKind.TOKEN:
            raise AccessError("only a login by name and password can start a browser session")
        return await self._security.aside(self._security.sessions.issue, principal)

    async def close_session(self, headers: Headers) -> None:
        """End the session of a request."""
        await self._security.change(self._security.sessions.use_up, presented_cookie(headers))

    def _admission(self, login: Login, role: Role, refresh_token: str) -> Admission:
        tokens = self._security.tokens
        return Admission(login.user, role, tokens.issue(login, role), refresh_token, tokens.seconds)
