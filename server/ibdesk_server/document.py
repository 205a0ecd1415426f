"""The API's documentation: OpenAPI as JSON, and a page to read.

The page is plain HTML made here. FastAPI's own page loads scripts from another host. They would run with the reader's
login on a server that can trade, and the page stays empty on a machine without internet access.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Sequence
from functools import cache
from html import escape
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, JSONResponse, Response

from ibdesk_server.content import JSON
from ibdesk_server.dependencies import needs
from ibdesk_server.etags import tagged
from ibdesk_server.openapi import describe
from ibdesk_server.security.principal import Role
from ibdesk_server.strict import StrictRoute

_STYLE = """
:root { --ink: #1d2733; --quiet: #5b6b7c; --line: #dde3ea; --soft: #f4f6f9; --page: #fff; --link: #0b5cad;
  --get: #1668b8; --post: #1a7f4b; --patch: #9a6700; --delete: #b42318; }
@media (prefers-color-scheme: dark) { :root { --ink: #dde5ee; --quiet: #93a4b6; --line: #27343f; --soft: #18212a;
  --page: #10161c; --link: #6cb2ff; --get: #6cb2ff; --post: #56d391; --patch: #e3b341; --delete: #ff7b72; } }
* { box-sizing: border-box; } html { scroll-padding-top: 12px; }
body { margin: 0; font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--page);
  display: grid; grid-template-columns: 250px minmax(0, 1fr); }
nav { position: sticky; top: 0; height: 100vh; overflow-y: auto; padding: 22px 18px; border-right: 1px solid
  var(--line); background: var(--soft); font-size: 14px; }
nav h1 { font-size: 19px; margin: 0 0 12px; } nav a { color: var(--quiet); text-decoration: none; display: flex;
  justify-content: space-between; padding: 3px 0; text-transform: capitalize; } nav a:hover { color: var(--link); }
nav small { color: var(--quiet); } main { padding: 26px 36px 80px; max-width: 1040px; }
a { color: var(--link); } h2 { text-transform: capitalize; margin: 44px 0 2px; font-size: 21px; }
h2 + p { margin: 0 0 12px; color: var(--quiet); } code, pre { font: 13px/1.5 ui-monospace, SFMono-Regular, Menlo,
  monospace; } pre { background: var(--soft); border: 1px solid var(--line); border-radius: 6px; padding: 10px 12px;
  overflow-x: auto; margin: 6px 0 14px; } details { border: 1px solid var(--line); border-radius: 8px; margin: 8px 0; }
summary { cursor: pointer; padding: 9px 14px; display: flex; gap: 12px; align-items: baseline; list-style: none; }
summary::-webkit-details-marker { display: none; } summary:hover { background: var(--soft); border-radius: 8px; }
summary b { font: 700 12px ui-monospace, monospace; width: 54px; flex: none; } summary code { flex: none;
  font-weight: 600; } summary span { color: var(--quiet); flex: 1; min-width: 0; }
summary em { font: 12px system-ui; color: var(--quiet); border: 1px solid var(--line); border-radius: 20px;
  padding: 0 9px; flex: none; } summary em.trader { color: var(--post); border-color: var(--post); }
summary em.admin { color: var(--delete); border-color: var(--delete); }
.get { color: var(--get); } .post { color: var(--post); } .patch, .put { color: var(--patch); } .delete { color:
  var(--delete); } .inside { padding: 2px 16px 12px; border-top: 1px solid var(--line); } h3 { font-size: 12px;
  color: var(--quiet); margin: 16px 0 4px; text-transform: uppercase; letter-spacing: .05em; }
table { border-collapse: collapse; width: 100%; } td { padding: 4px 14px 4px 0; vertical-align: top; border-bottom: 1px
  solid var(--line); } td:first-child { white-space: nowrap; width: 1%; } tr:last-child td { border: 0; }
td i { color: var(--quiet); font-style: normal; }
@media (max-width: 760px) { body { display: block; } nav { position: static; height: auto; } main { padding: 16px; }
  summary { flex-wrap: wrap; } }
"""

_INTRODUCTION = """<p>{summary}</p>
<p>Send a key as <code>X-API-Key</code>, or log in and send the access token as <code>Authorization: Bearer</code>.
A <b>viewer</b> reads, a <b>trader</b> also places orders, an <b>admin</b> also manages risk and users. Times are
ISO 8601 with a zone; a
number that is not known is <code>null</code>. Lists are paged: follow <code>next</code>. Requests and answers may be
<code>application/msgpack</code>. An error is <code>application/problem+json</code>, with one sentence that
says what to do. The WebSocket at <code>/feed</code> streams updates.</p>
<h3>An order that is placed once, however often the request is sent</h3><pre>curl {origin}/api/v1/orders \\
  -H "X-API-Key: $IBDESK_KEY" -H "Idempotency-Key: $(uuidgen)" -H "Content-Type: application/json" \\
  -d '{{"symbol": "AAPL", "side": "buy", "quantity": 100, "limit": 187.40}}'</pre>
<p>The same for programs: <a href="/openapi.json">openapi.json</a>, and in Python
<code>ibdesk_server.client.ApiClient</code>.</p>"""


def document_router(routers: Sequence[APIRouter]) -> APIRouter:
    """Return the routes that serve the documentation of `routers`; they require the role viewer."""
    router = APIRouter(include_in_schema=False, dependencies=[needs(Role.VIEWER)], route_class=StrictRoute)
    # Made once, at the first request, in a thread: it takes about 0.3 s.
    document = cache(lambda: describe(routers))

    @router.get("/openapi.json")
    async def openapi(request: Request) -> Response:
        return tagged(request, JSONResponse(await asyncio.to_thread(document)))

    @router.get("/docs")
    async def docs(request: Request) -> Response:
        return tagged(request, HTMLResponse(page(await asyncio.to_thread(document), str(request.base_url).rstrip("/"))))

    return router


def page(document: dict[str, Any], origin: str) -> str:
    """Return the document as an HTML page that loads nothing and runs no script."""
    sections: dict[str, list[str]] = {tag["name"]: [] for tag in document["tags"]}
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            sections[operation["tags"][0]].append(_operation(method, path, operation))
    says = {tag["name"]: tag["description"] for tag in document["tags"]}
    links = "".join(f'<a href="#{tag}">{tag}<small>{len(found)}</small></a>' for tag, found in sections.items())
    body = "".join(
        f'<h2 id="{tag}">{tag}</h2><p>{escape(says[tag])}</p>{"".join(found)}' for tag, found in sections.items()
    )
    introduction = _INTRODUCTION.format(summary=escape(document["info"]["summary"]), origin=escape(origin))
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>ibdesk API</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>{_STYLE}</style></head><body><nav><h1>ibdesk API</h1>{links}</nav>"
        f"<main>{introduction}{body}</main></body></html>"
    )


def _operation(method: str, path: str, operation: dict[str, Any]) -> str:
    role = operation.get("x-role")
    badge = f'<em class="{role}">{role}</em>' if role else "<em>anybody</em>"
    # The badge shows the role.
    text = operation["description"].partition("\n\nNeeds the role")[0]
    return (
        f'<details><summary><b class="{method}">{method.upper()}</b><code>{escape(path)}</code>'
        f"<span>{escape(operation['summary'])}</span>{badge}</summary>"
        f'<div class="inside">{_prose(text)}{_parameters(operation)}{_body(operation)}{_answers(operation)}'
        f"</div></details>"
    )


def _parameters(operation: dict[str, Any]) -> str:
    rows = "".join(
        f"<tr><td><code>{escape(found['name'])}</code></td><td>{_prose_line(found.get('description', ''))} "
        f"<i>{escape(_kind(found))}</i></td></tr>"
        for found in operation.get("parameters", ())
    )
    return f"<h3>Takes</h3><table>{rows}</table>" if rows else ""


def _kind(parameter: dict[str, Any]) -> str:
    """Return a parameter's place (path, query, header) and its constraints as text."""
    schema, words = parameter["schema"], [parameter["in"]]
    choices = [choice for part in (schema, *schema.get("anyOf", ())) for choice in part.get("enum", ())]
    if choices:
        words.append(", ".join(map(str, choices)))
    for name, sign in (("minimum", "from"), ("maximum", "up to")):
        if name in schema:
            words.append(f"{sign} {schema[name]:g}")
    if schema.get("default") is not None and schema.get("default") != "":
        words.append(f"default {schema['default']}")
    if parameter.get("required") and parameter["in"] != "path":
        words.append("required")
    return " · ".join(words)


def _body(operation: dict[str, Any]) -> str:
    content = operation.get("requestBody", {}).get("content", {})
    return f"<h3>Body</h3>{_example(content[JSON]['example'])}" if JSON in content else ""


def _answers(operation: dict[str, Any]) -> str:
    shown, rows = "", []
    for status, response in sorted(operation["responses"].items()):
        content = response.get("content", {})
        if status.startswith("2") and "example" in content.get(JSON, {}):
            shown = f"<h3>Answers with</h3>{_example(content[JSON]['example'])}"
        rows.append(f"<tr><td><code>{status}</code></td><td>{_prose_line(response['description'])}</td></tr>")
    return f"{shown}<h3>Statuses</h3><table>{''.join(rows)}</table>"


def _example(example: Any) -> str:
    return f"<pre>{escape(json.dumps(example, indent=2, ensure_ascii=False))}</pre>"


def _prose(text: str) -> str:
    return "".join(f"<p>{_prose_line(part)}</p>" for part in text.split("\n\n"))


def _prose_line(text: str) -> str:
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text, quote=False))
