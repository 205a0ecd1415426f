"""The interface's own description: OpenAPI as JSON, and a page to read.

The page is plain HTML made here. The usual one loads scripts from another host, which would run with the reader's
login on a server that can trade, and shows nothing on a machine without the internet.
"""

from __future__ import annotations

from html import escape
from typing import Any

from fastapi import APIRouter, FastAPI, Request
from fastapi.responses import HTMLResponse, JSONResponse, Response

from ibdesk_server.dependencies import needs
from ibdesk_server.etags import tagged
from ibdesk_server.security.principal import Role

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>ibdesk API</title><style>
body {{ font: 15px/1.5 system-ui, sans-serif; max-width: 60em; margin: 2em auto; padding: 0 1em; color: #1d2733; }}
h2 {{ margin: 1.6em 0 .3em; text-transform: capitalize; border-bottom: 1px solid #d5dce4; }}
code {{ font: 13px ui-monospace, monospace; background: #f1f4f7; padding: 2px 5px; border-radius: 3px; }}
dt {{ margin-top: .9em; }} dd {{ margin: .2em 0 0 1.5em; color: #4a5867; }} b {{ color: #0b5cad; }}
@media (prefers-color-scheme: dark) {{ body {{ background: #12181f; color: #dde5ee; }} code {{ background: #1f2933; }}
dd {{ color: #9fb0c1; }} h2 {{ border-color: #2c3947; }} b {{ color: #6cb2ff; }} }}
</style></head><body><h1>{title}</h1><p>{summary} The same for programs: <a href="/openapi.json">openapi.json</a>.
News come over the WebSocket at <code>/feed</code>, in msgpack.</p>{sections}</body></html>"""


def document_router(app: FastAPI) -> APIRouter:
    """Return the routes of the description of `app`; they need to know who asks, like the rest."""
    router = APIRouter(include_in_schema=False, dependencies=[needs(Role.VIEWER)])

    @router.get("/openapi.json")
    async def openapi(request: Request) -> Response:
        return tagged(request, JSONResponse(app.openapi()))

    @router.get("/docs")
    async def docs() -> HTMLResponse:
        return HTMLResponse(_page(app.openapi()))

    return router


def _page(document: dict[str, Any]) -> str:
    sections: dict[str, list[str]] = {}
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            sections.setdefault(operation["tags"][0], []).append(_entry(method, path, operation))
    return _PAGE.format(
        title=escape(document["info"]["title"]),
        summary=escape(document["info"]["summary"]),
        sections="".join(f"<h2>{escape(tag)}</h2><dl>{''.join(found)}</dl>" for tag, found in sections.items()),
    )


def _entry(method: str, path: str, operation: dict[str, Any]) -> str:
    inputs = ", ".join(f"<code>{escape(found['name'])}</code>" for found in operation.get("parameters", ()))
    return (
        f"<dt><b>{method.upper()}</b> <code>{escape(path)}</code> {escape(operation['summary'])}</dt>"
        f"<dd>{escape(operation['description'])}{f' Takes {inputs}.' if inputs else ''}</dd>"
    )
