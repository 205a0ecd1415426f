"""The credentials in a request: a key or token in a header, or the cookie of a browser login."""

from __future__ import annotations

from http.cookies import CookieError, SimpleCookie

from starlette.datastructures import Headers

COOKIE = "ibdesk_session"
KEY_HEADER = "X-API-Key"
FEED_PROTOCOL = "ibdesk.v2"
"""The subprotocol of the feed. Clients that cannot set headers offer it together with ``bearer.<key or token>``."""

_BEARER_PROTOCOL = "bearer."


def presented_secret(headers: Headers) -> str | None:
    """Return the key or token in the headers, valid or not, None if there is none."""
    key = headers.get(KEY_HEADER)
    if key is not None:
        return key
    scheme, _, token = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return token.strip()
    for offered in offered_protocols(headers):
        if offered.startswith(_BEARER_PROTOCOL):
            return offered.removeprefix(_BEARER_PROTOCOL)
    return None


def presented_cookie(headers: Headers) -> str:
    """Return the value of the session cookie, empty if there is none."""
    try:
        cookies = SimpleCookie(headers.get("cookie", ""))
    except CookieError:
        return ""
    return cookies[COOKIE].value if COOKIE in cookies else ""


def offered_protocols(headers: Headers) -> list[str]:
    """Return the subprotocols that a WebSocket's client offers."""
    found = ",".join(headers.getlist("sec-websocket-protocol"))
    return [name.strip() for name in found.split(",") if name.strip()]
