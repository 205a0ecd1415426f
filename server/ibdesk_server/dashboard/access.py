"""Who may look at the dashboard: a browser that came with a one-time code, or somebody whom the server knows."""

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
from ibdesk_server.dashboard.counter import Counter, Reader, Refusal
from ibdesk_server.security.tickets import digest_of

_CODE_SECONDS = 600.0
_LOGIN_SECONDS = 43_200.0
# How often those who logged in by password are asked for again, as a part of how long their token is good.
_ASKED_AGAIN = 0.5
_MOST_READERS = 1_000
_GUEST = Reader("guest", "viewer")
_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>ibdesk: log in</title><style>
body {{ background: {background}; color: {text}; font: 15px {font}; display: grid; place-items: center; height: 90vh; }}
main {{ max-width: 26em; }} p {{ color: {muted}; line-height: 1.5; }} b {{ color: {loss}; }}
form {{ display: grid; gap: 8px; max-width: 18em; }}
input, button {{ font: inherit; padding: 8px 10px; border-radius: 4px; border: 1px solid {line}; }}
input {{ background: {surface}; color: {text}; }} button {{ background: {accent}; }}
</style></head><body><main><h2>ibdesk</h2><p>{message}</p>
<form method="post" action="/login"><input name="name" aria-label="Name" placeholder="Name"
autocomplete="username" autofocus maxlength="64"><input type="password" name="password" aria-label="Password or key"
placeholder="Password" autocomplete="current-password" maxlength="1024">
<button>Log in</button></form></main></body></html>"""
_WELCOME = (
    "Open the address that was printed when the dashboard started (it works once), or log in by name and password. "
    "Without a name, an API key does."
)
_USED = "<b>That was not accepted.</b> A printed address works once and for ten minutes."


class _Login:
    """One browser that was let in; `ends_at` and `ask_at` are times of the monotonic clock."""

    def __init__(self, reader: Reader) -> None:
        now = time.monotonic()
        self.reader, self.ends_at, self.ask_at = reader, now + _LOGIN_SECONDS, now + reader.seconds * _ASKED_AGAIN


class Access(AuthProvider):
    """Guards one dashboard: pages and their WebSocket are for browsers that have logged in.

    Cookies are shared by all ports of a machine, so the cookie's name carries the port: dashboards and API beside
    each other leave each other's logins alone.
    """

    def __init__(self, counter: Counter, port: int, *, is_encrypted: bool = False) -> None:
        self.counter, self.is_encrypted = counter, is_encrypted
        self._codes: dict[bytes, float] = {}
        self._logins: dict[bytes, _Login] = {}
        self.cookie = f"ibdesk_dashboard_{port}"
        super().__init__()

    def login_path(self) -> str:
        """Return the path and query of a login as a guest, who only looks; it works once."""
        code = secrets.token_urlsafe(32)
        self._codes[digest_of(code)] = time.monotonic() + _CODE_SECONDS
        return f"/login?{urlencode({'code': code})}"

    def redeem(self, code: str) -> bool:
        """Return whether a code is good; it never is again."""
        return self._codes.pop(digest_of(code), 0.0) > time.monotonic()

    def let_in(self, reader: Reader) -> str:
        """Return the cookie's value for a reader."""
        cookie = secrets.token_urlsafe(32)
        while len(self._logins) >= _MOST_READERS:
            del self._logins[next(iter(self._logins))]
        self._logins[digest_of(cookie)] = _Login(reader)
        return cookie

    def reader(self, cookie: str) -> Reader | None:
        """Return who came with a cookie, None when that is nobody (any more)."""
        login = self._logins.get(digest_of(cookie))
        return None if login is None or login.ends_at <= time.monotonic() else login.reader

    def knows(self, handler: RequestHandler) -> bool:
        """Return whether a request carries the cookie of a login."""
        return self.reader(handler.get_cookie(self.cookie) or "") is not None

    async def run(self) -> None:
        """See to it that who logged in by password is let go when the server lets them go; for ever.

        While the server is away, who is in stays in.
        """
        while True:
            await asyncio.sleep(1)
            now = time.monotonic()
            for place, login in list(self._logins.items()):
                if login.ends_at <= now:
                    self._logins.pop(place, None)
                elif login.reader.refresh_token and login.ask_at <= now:
                    await self._ask_again(place, login)

    async def _ask_again(self, place: bytes, login: _Login) -> None:
        found = await self.counter.refresh(login.reader)
        if isinstance(found, Reader):
            login.reader, login.ask_at = found, time.monotonic() + found.seconds * _ASKED_AGAIN
        elif found is Refusal.WRONG:
            self._logins.pop(place, None)

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
    """Exchanges a one-time code, name and password, or a key, for the cookie."""

    def get(self) -> None:
        """Log in by the code in the address; without one, explain how to. Who is logged in goes on."""
        code = self.get_query_argument("code", "")
        if self._access.knows(self):
            self.redirect("/")
        elif code and self._access.redeem(code):
            self._let_in(_GUEST)
        elif code:
            self._explain(403, _USED)
        else:
            self._explain(401, _WELCOME)

    async def post(self) -> None:
        """Log in by what was typed into the form."""
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
        if isinstance(found, Reader):
            self._let_in(found)
        else:
            self._explain(403, f"<b>{escape(found.value)}</b>")

    @property
    def _access(self) -> Access:
        access: Access = self.application.auth_provider  # type: ignore[attr-defined]  # Bokeh's application has it
        return access

    def _let_in(self, reader: Reader) -> None:
        access = self._access
        cookie = access.let_in(reader)
        self.set_cookie(access.cookie, cookie, httponly=True, samesite="Strict", path="/", secure=access.is_encrypted)
        self.redirect("/")

    def _explain(self, status: int, message: str) -> None:
        self.set_status(status)
        self.set_header("Cache-Control", "no-store")
        self.set_header("X-Frame-Options", "DENY")
        # With "no-referrer" browsers would hide from us, too, that the form is ours: they send `Origin: null`.
        self.set_header("Referrer-Policy", "same-origin")
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
