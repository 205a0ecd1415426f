"""Small HTML pages for browsers, where programs receive JSON: the landing page and errors."""

from __future__ import annotations

from html import escape

from starlette.requests import Request
from starlette.responses import HTMLResponse

from ibdesk_server.accept import preferred

_JSON, _HTML = "application/json", "text/html"

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>ibdesk: {title}</title><style>
body {{ font: 16px/1.55 system-ui, sans-serif; color: #1d2733; background: #fff; display: grid; place-items: center;
  min-height: 90vh; margin: 0; }} main {{ max-width: 34em; padding: 0 1.2em; }} h1 {{ font-size: 22px; }}
.bad {{ background: #b42318; color: #fff; font-weight: 600; padding: 10px 14px; border-radius: 6px; }}
.good {{ color: #1a7f4b; font-weight: 600; }} small, small a {{ color: #5b6b7c; }} a {{ color: #0b5cad; }}
@media (prefers-color-scheme: dark) {{ body {{ color: #dde5ee; background: #10161c; }} a {{ color: #6cb2ff; }}
  .good {{ color: #56d391; }} }}
</style></head><body><main><h1>{title}</h1>{content}</main></body></html>"""


def wants_page(request: Request) -> bool:
    """Return whether a browser shows the answer as a page: `Accept` prefers HTML to JSON."""
    accept = ",".join(request.headers.getlist("accept"))
    return request.method in {"GET", "HEAD"} and preferred(accept, (_JSON, _HTML)) == _HTML


def page(title: str, content: str, *, status: int = 200, headers: dict[str, str] | None = None) -> HTMLResponse:
    """Return a page; `content` is HTML."""
    return HTMLResponse(_PAGE.format(title=escape(title), content=content), status, headers)


def problem_page(status: int, title: str, detail: str, request_id: str, headers: dict[str, str]) -> HTMLResponse:
    """Return a problem as a page, with a hint how to log in if it is a 401."""
    way_on = "<p>To log in, type <code>ibdesk login</code> on the server's machine and open what it prints.</p>"
    found = f"<p>{escape(detail[:1].upper() + detail[1:])}.</p>{way_on if status == 401 else ''}"
    content = f"{found}<p><small>{status}, request {escape(request_id)}</small></p>"
    return page(title, content, status=status, headers=headers)
