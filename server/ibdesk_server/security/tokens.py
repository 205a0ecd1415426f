"""Access tokens: signed JWTs that live for some minutes (RFC 7519 and 9068)."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable

import jwt

from ibdesk_server.security.logins import Login
from ibdesk_server.security.principal import Principal, ProofKind, Role

ISSUER, AUDIENCE = "ibdesk", "ibdesk-api"

# The only algorithm used and accepted, whatever a token's header says.
_ALGORITHM = "HS256"
_TYPE = "at+jwt"
_CLAIMS = ["iss", "aud", "sub", "exp", "iat", "jti", "role", "gen", "sid"]
_LEEWAY_SECONDS = 5.0


class AccessTokens:
    """Signs and reads access tokens with one key; `seconds` is their lifetime."""

    def __init__(self, key: str, *, seconds: float, clock: Callable[[], int] = time.time_ns) -> None:
        self._key, self.seconds, self._clock = key.encode(), seconds, clock

    def issue(self, login: Login, role: Role) -> str:
        """Return a new token for a login; it expires with the login at the latest."""
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
        """Return the caller that a token names, None if its signature, audience or lifetime is not valid.

        Does not check whether the login is still active.
        """
        try:
            found = jwt.decode_complete(
                token,
                self._key,
                [_ALGORITHM],
                # Times are checked below with our own clock.
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
