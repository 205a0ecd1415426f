"""What a request shows of who makes it: a key in a header, or the cookie of a browser's login."""

from __future__ import annotations

from http.cookies import CookieError, SimpleCookie

from starlette.datastructures import Headers

COOKIE = "ibdesk_session"
KEY_HEADER = "X-API-Key"


def presented_key(headers: Headers) -> str | None:
    """Return the key that a request's headers carry, right or wrong, if any."""
    key = headers.get(KEY_HEADER)
    if key is not None:
        return key
    scheme, _, token = headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None


def presented_cookie(headers: Headers) -> str:
    """Return the value of the session's cookie, empty when there is none."""
    try:
        cookies = SimpleCookie(headers.get("cookie", ""))
    except CookieError:
        return ""
    return cookies[COOKIE].value if COOKIE in cookies else ""
