"""Access tokens: signed notes of who logged in, good for some minutes (JWT, RFC 7519 and 9068)."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable

import jwt

from ibdesk_server.security.logins import Login
from ibdesk_server.security.principal import Principal, ProofKind, Role

ISSUER, AUDIENCE = "ibdesk", "ibdesk-api"

# The one algorithm that is signed with and accepted, whatever a token says of itself.
_ALGORITHM = "HS256"
_TYPE = "at+jwt"
_CLAIMS = ["iss", "aud", "sub", "exp", "iat", "jti", "role", "gen", "sid"]
_LEEWAY_SECONDS = 5.0


class AccessTokens:
    """Signs and reads access tokens with one key; `seconds` is how long a token is good."""

    def __init__(self, key: str, *, seconds: float, clock: Callable[[], int] = time.time_ns) -> None:
        self._key, self.seconds, self._clock = key.encode(), seconds, clock

    def issue(self, login: Login, role: Role) -> str:
        """Return a new token for a login; it is not good for longer than the login."""
        now = self._clock() / 1e9
        claims = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": login.user,
            "iat": int(now),
            "exp": int(min(now + self.seconds, login.expires_ns / 1e9)),
            "jti": secrets.token_hex(8),
            "role": role.value,
            "gen": login.generation,
            "sid": login.id,
        }
        return jwt.encode(claims, self._key, _ALGORITHM, {"typ": _TYPE})

    def read(self, token: str) -> Principal | None:
        """Return whom a token names, None when we did not sign it, it was meant for others, or it has run out.

        Whether the login still goes on is not asked here.
        """
        try:
            found = jwt.decode_complete(
                token,
                self._key,
                [_ALGORITHM],
                # Times are compared below, by our own clock.
                {"require": _CLAIMS, "verify_exp": False, "verify_iat": False, "verify_nbf": False},
                audience=AUDIENCE,
                issuer=ISSUER,
            )
            claims, now = found["payload"], self._clock() / 1e9
            expires, issued = int(claims["exp"]), int(claims["iat"])
            if found["header"].get("typ") != _TYPE or not issued - _LEEWAY_SECONDS <= now < expires + _LEEWAY_SECONDS:
                return None
            return Principal(
                str(claims["sub"]),
                Role(claims["role"]),
                ProofKind.TOKEN,
                proof_id=str(claims["sid"]),
                generation=str(claims["gen"]),
                expires_ns=int((expires + _LEEWAY_SECONDS) * 1e9),
            )
        except (jwt.InvalidTokenError, ValueError, TypeError, OverflowError, RecursionError):
            return None
