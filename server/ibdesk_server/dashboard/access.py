"""Who may look at the dashboard: a browser that came with a one-time code, or whose reader typed the API key."""

from __future__ import annotations

import hmac
from collections.abc import Callable
from html import escape
from typing import Any
from urllib.parse import urlencode

from bokeh.server.auth_provider import AuthProvider
from tornado.web import RequestHandler

from ibdesk.backtest import palette
from ibdesk_server.security.directory import Directory
from ibdesk_server.security.principal import Kind, Principal, Role
from ibdesk_server.security.tickets import Tickets, Use

_READER = Principal("reader", Role.VIEWER, Kind.SESSION)
_CODE_SECONDS = 600.0
_LOGIN_SECONDS = 43_200.0
_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>ibdesk: log in</title><style>
body {{ background: {background}; color: {text}; font: 15px {font}; display: grid; place-items: center; height: 90vh; }}
main {{ max-width: 26em; }} p {{ color: {muted}; line-height: 1.5; }} b {{ color: {loss}; }}
input, button {{ font: inherit; padding: 8px 10px; border-radius: 4px; border: 1px solid {line}; }}
input {{ background: {surface}; color: {text}; width: 16em; }} button {{ background: {accent}; }}
</style></head><body><main><h2>ibdesk</h2><p>{message}</p>
<form method="post" action="/login"><input type="password" name="key" aria-label="API key"
autocomplete="current-password" autofocus>
<button>Log in</button></form></main></body></html>"""
_WELCOME = "Open the address that was printed when the dashboard started (it works once), or type the API key here."
_REFUSED = "<b>That was not accepted.</b> A printed address works once and for ten minutes; the API key always does."


class Access(AuthProvider):
    """Guards one dashboard: pages and their WebSocket are for browsers that have logged in.

    Cookies are shared by all ports of a machine, so the cookie's name carries the port: dashboards and API beside
    each other leave each other's logins alone.
    """

    def __init__(self, key: str, port: int) -> None:
        self._key = key.encode()
        directory = Directory()
        self._codes = Tickets(directory, Use.CODE, seconds=_CODE_SECONDS)
        self._logins = Tickets(directory, Use.SESSION, seconds=_LOGIN_SECONDS)
        self.cookie = f"ibdesk_dashboard_{port}"
        super().__init__()

    def login_path(self) -> str:
        """Return the path and query of a login that works once."""
        return f"/login?{urlencode({'code': self._codes.issue(_READER)})}"

    def log_in(self, *, code: str = "", key: str = "") -> str | None:
        """Return a cookie's value for a one-time code or the API key, None when neither is good."""
        if self._codes.use_up(code) or hmac.compare_digest(key.encode(), self._key):
            return self._logins.issue(_READER)
        return None

    def knows(self, handler: RequestHandler) -> bool:
        """Return whether a request carries the cookie of a login."""
        return self._logins.holder(handler.get_cookie(self.cookie) or "") is not None

    @property
    def get_user(self) -> Callable[[Any], Any]:
        """Return the function that names the reader of a request, or nobody."""

        return lambda handler: "reader" if self.knows(handler) else None

    @property
    def login_url(self) -> str:
        """Return where a browser that is not logged in is sent."""
        return "/login"

    @property
    def login_handler(self) -> type[RequestHandler]:
        """Return what answers there."""
        return LoginHandler


class LoginHandler(RequestHandler):
    """Exchanges a one-time code, or the API key, for the cookie."""

    def get(self) -> None:
        """Log in by the code in the address; without one, explain how to. Who is logged in goes on."""
        code = self.get_query_argument("code", "")
        if self._access.knows(self):
            self.redirect("/")
        elif code:
            self._log_in(code=code)
        else:
            self._explain(401, _WELCOME)

    def post(self) -> None:
        """Log in by the API key typed into the form."""
        self._log_in(key=self.get_body_argument("key", ""))

    @property
    def _access(self) -> Access:
        access: Access = self.application.auth_provider  # type: ignore[attr-defined]  # Bokeh's application has it
        return access

    def _log_in(self, **proof: str) -> None:
        cookie = self._access.log_in(**proof)
        if cookie is None:
            self._explain(403, _REFUSED)
            return
        self.set_cookie(self._access.cookie, cookie, httponly=True, samesite="Lax", path="/")
        self.redirect("/")

    def _explain(self, status: int, message: str) -> None:
        self.set_status(status)
        self.set_header("Cache-Control", "no-store")
        self.finish(
            _PAGE.format(
                message=message,
                background=palette.BACKGROUND,
                surface=palette.SURFACE,
                text=palette.TEXT,
                muted=palette.MUTED,
                line=palette.LINE,
                accent=palette.ACCENT,
                loss=palette.LOSS,
                font=escape(palette.FONT, quote=False),
            )
        )
