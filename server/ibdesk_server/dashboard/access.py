"""Access to the dashboard: by one-time code, or by a login that the server checks."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable
from html import escape
from typing import Any
from urllib.parse import urlencode, urlsplit

from bokeh.server.auth_provider import AuthProvider
from tornado.web import RequestHandler

from ibdesk.backtest import palette
from ibdesk_server.dashboard.counter import Counter, DashboardUser, Refusal
from ibdesk_server.dashboard.logins import LoginFile
from ibdesk_server.security.tickets import digest_of

_CODE_SECONDS = 600.0
_GUEST = DashboardUser("guest", "viewer")
_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>ibdesk: log in</title><style>
body {{ background: {background}; color: {text}; font: 15px {font}; display: grid; place-items: center; height: 90vh; }}
main {{ max-width: 26em; }} p {{ color: {muted}; line-height: 1.5; }} b {{ color: {loss}; }}
form {{ display: grid; gap: 8px; max-width: 18em; }}
input, button {{ font: inherit; padding: 8px 10px; border-radius: 4px; border: 1px solid {line}; }}
input {{ background: {surface}; color: {text}; }} button {{ background: {accent}; }}
</style></head><body><main><h2>ibdesk</h2><p>{message}</p>
<form method="post" action="{action}"><input name="name" aria-label="Name" placeholder="Name"
autocomplete="username" autofocus maxlength="64"><input type="password" name="password" aria-label="Password or key"
placeholder="Password" autocomplete="current-password" maxlength="1024">
<button>Log in</button></form></main></body></html>"""
_WELCOME = (
    "Open the address printed when the dashboard started (it works once), or log in by name and password. "
    "You can also enter an API key as the password, without a name."
)
_USED = "<b>That was not accepted.</b> A printed address works once and for ten minutes."


class Access(AuthProvider):
    """The access control of one dashboard: pages and their WebSocket require a login.

    Browsers share cookies among all ports of a machine. The cookie's name contains the port, so that dashboards and API
    on one machine do not overwrite each other's logins.
    """

    def __init__(
        self,
        counter: Counter,
        port: int,
        *,
        is_encrypted: bool = False,
        logins: LoginFile | None = None,
        path_prefix: str = "",
    ) -> None:
        """Control access to a dashboard under `path_prefix`; `logins` are those of an earlier process."""
        self.counter, self.is_encrypted, self.prefix = counter, is_encrypted, path_prefix
        self._codes: dict[bytes, float] = {}
        self._logins = logins or LoginFile()
        self.cookie = f"ibdesk_dashboard_{port}"
        super().__init__()

    def login_path(self) -> str:
        """Return the path and query of a one-time login as a read-only guest."""
        code = secrets.token_urlsafe(32)
        self._codes[digest_of(code)] = time.monotonic() + _CODE_SECONDS
        return f"{self.login_address}?{urlencode({'code': code})}"

    def redeem(self, code: str) -> bool:
        """Return whether a one-time code is valid, and use it up."""
        return self._codes.pop(digest_of(code), 0.0) > time.monotonic()

    def let_in(self, reader: DashboardUser) -> str:
        """Log a reader in and return the cookie's value."""
        return self._logins.add(reader)

    def reader(self, cookie: str) -> DashboardUser | None:
        """Return the reader of a cookie, None if the cookie is not valid (any more)."""
        return self._logins.find(cookie)

    def knows(self, handler: RequestHandler) -> bool:
        """Return whether a request carries the cookie of a login."""
        return self.reader(handler.get_cookie(self.cookie) or "") is not None

    async def run(self) -> None:
        """End password logins that the server has ended; runs until cancelled.

        While the server does not answer, readers stay logged in.
        """
        while True:
            await asyncio.sleep(1)
            for place, reader in self._logins.due():
                found = await self.counter.refresh(reader)
                if isinstance(found, DashboardUser):
                    self._logins.renew(place, found)
                elif found is Refusal.WRONG:
                    self._logins.remove(place)

    @property
    def get_user(self) -> Callable[[Any], Any]:
        """Return the function that returns the name of a request's reader, or None."""
        return lambda handler: "reader" if self.knows(handler) else None

    @property
    def login_url(self) -> str:
        """Return the path to which browsers without a login are redirected; Panel adds the prefix."""
        return "/login"

    @property
    def login_address(self) -> str:
        """Return the full path of the login."""
        return f"{self.prefix}{self.login_url}"

    @property
    def login_handler(self) -> type[RequestHandler]:
        """Return the handler of the login page."""
        return LoginHandler


class LoginHandler(RequestHandler):
    """Exchanges a one-time code, name and password, or a key, for the cookie."""

    def get(self) -> None:
        """Log in by the code in the URL; without one, show the login form, or redirect a reader who is logged in."""
        code = self.get_query_argument("code", "")
        if self._access.knows(self):
            self.redirect(f"{self._access.prefix}/")
        elif code and self._access.redeem(code):
            self._let_in(_GUEST)
        elif code:
            self._explain(403, _USED)
        else:
            self._explain(401, _WELCOME)

    async def post(self) -> None:
        """Log in by the form."""
        origin = self.request.headers.get("Origin")
        if origin is not None and urlsplit(origin).netloc != self.request.host:
            self._explain(403, "<b>Pages of another site cannot log in here.</b>")
            return
        name, password = self.get_body_argument("name", ""), self.get_body_argument("password", "", strip=False)
        counter = self._access.counter
        if name:
            found = await counter.sign_in(name, password, address=self.request.remote_ip or "")
        else:
            found = await counter.recognize(password.strip())
        if isinstance(found, DashboardUser):
            self._let_in(found)
        else:
            self._explain(403, f"<b>{escape(found.value)}</b>")

    @property
    def _access(self) -> Access:
        access: Access = self.application.auth_provider  # type: ignore[attr-defined]  # Bokeh's application has it
        return access

    def _let_in(self, reader: DashboardUser) -> None:
        access = self._access
        cookie = access.let_in(reader)
        self.set_cookie(
            access.cookie,
            cookie,
            path=f"{access.prefix}/",
            httponly=True,
            samesite="Strict",
            secure=access.is_encrypted,
        )
        self.redirect(f"{access.prefix}/")

    def _explain(self, status: int, message: str) -> None:
        self.set_status(status)
        self.set_header("Cache-Control", "no-store")
        self.set_header("X-Frame-Options", "DENY")
        # With "no-referrer", browsers send `Origin: null` with our own form.
        self.set_header("Referrer-Policy", "same-origin")
        self.finish(
            _PAGE.format(
                message=message,
                action=escape(self._access.login_address),
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
