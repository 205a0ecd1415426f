"""JSON and msgpack: which of them a caller sends and accepts, and the conversion.

Routes use JSON only. A msgpack body is converted before it reaches the route, and a JSON answer afterwards if
`Accept` prefers msgpack. Problems are converted too.
"""

from __future__ import annotations

import msgspec
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ibdesk_server.accept import preferred
from ibdesk_server.problems import problem_response

JSON = "application/json"
PROBLEM = "application/problem+json"
MSGPACK = "application/msgpack"
API_PREFIX = "/api/"

# Media types used for msgpack before it was registered.
_OLD_NAMES = ("application/x-msgpack", "application/vnd.msgpack")
_PACKABLE = (JSON.encode(), PROBLEM.encode())
_BODILESS = frozenset({"GET", "HEAD", "OPTIONS"})
# A strong entity tag belongs to one representation. The tag of the msgpack form ends with this.
_PACKED_TAG = '.msgpack"'


async def require_readable_answer(request: Request) -> None:
    """Refuse a request whose `Accept` allows neither JSON nor msgpack, before anything is done."""
    if preferred(_accept(request.headers), (JSON, MSGPACK)) is None:
        raise HTTPException(406, f"answers come as {JSON} or {MSGPACK}: name one of them in `Accept`")


class PackingMiddleware:
    """Converts answers to msgpack for callers that prefer it; must wrap all middleware that answers with problems."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve an ASGI connection."""
        if scope["type"] == "http" and preferred(_accept(Headers(scope=scope)), (JSON, MSGPACK)) == MSGPACK:
            send = _Packer(send)
        await self._app(scope, receive, send)


class UnpackingMiddleware:
    """Converts msgpack bodies to JSON, and answers 415 to API bodies in any other format."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve an ASGI connection."""
        if scope["type"] != "http" or scope["method"] in _BODILESS or not scope["path"].startswith(API_PREFIX):
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        kind = _modern(headers.get("content-type", "").partition(";")[0].strip().lower())
        if kind == MSGPACK:
            await self._unpack(scope, receive, send)
        elif kind != JSON and _has_body(headers):
            refusal = f"send a body as {JSON} or {MSGPACK}: the type of this one is {kind or 'missing'}"
            await problem_response(415, refusal, path=scope["path"])(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _unpack(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            # A body beyond the limit reads as a disconnect; the outer middleware answers 413.
            body = await Request(scope, receive).body()
            body = msgspec.json.encode(msgspec.msgpack.decode(body)) if body else body
        except ClientDisconnect:
            return
        except (msgspec.DecodeError, TypeError, ValueError, RecursionError) as error:
            refusal = f"the body is not valid msgpack: {error}"
            await problem_response(400, refusal, path=scope["path"])(scope, receive, send)
            return
        told = False

        async def unpacked_receive() -> Message:
            nonlocal told
            if told:
                return await receive()
            told = True
            return {"type": "http.request", "body": body, "more_body": False}

        fields = [pair for pair in scope["headers"] if pair[0] not in {b"content-type", b"content-length"}]
        fields += [(b"content-type", JSON.encode()), (b"content-length", str(len(body)).encode())]
        # Changed in place: outer middleware reads from this scope which route served the request.
        scope["headers"] = fields
        await self._app(scope, unpacked_receive, send)


class _Packer:
    """Forwards the messages of a response; a JSON body is converted to msgpack once it is complete."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._start: Message | None = None
        self._body = bytearray()

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            await self._on_start(message)
        elif self._start is None:
            await self._send(message)
        else:
            self._body += message.get("body", b"")
            if not message.get("more_body", False):
                await self._finish(self._start)

    async def _on_start(self, message: Message) -> None:
        headers = MutableHeaders(scope=message)
        headers.add_vary_header("Accept")
        tag = headers.get("etag", "")
        if tag.startswith('"'):
            headers["etag"] = tag[:-1] + _PACKED_TAG
        if headers.get("content-type", "").partition(";")[0].encode() in _PACKABLE:
            self._start = message
        else:
            await self._send(message)

    async def _finish(self, start: Message) -> None:
        body = msgspec.msgpack.encode(msgspec.json.decode(self._body)) if self._body else b""
        headers = MutableHeaders(scope=start)
        headers["content-type"], headers["content-length"] = MSGPACK, str(len(body))
        await self._send(start)
        await self._send({"type": "http.response.body", "body": body})


def unpacked_tag(tag: str) -> str:
    """Return the entity tag of the JSON form for the tag of either form."""
    return tag.removesuffix(_PACKED_TAG) + '"' if tag.endswith(_PACKED_TAG) else tag


def _accept(headers: Headers) -> str:
    return _modern(",".join(headers.getlist("accept")))


def _modern(kinds: str) -> str:
    for name in _OLD_NAMES:
        kinds = kinds.replace(name, MSGPACK)
    return kinds


def _has_body(headers: Headers) -> bool:
    return headers.get("content-length", "0") != "0" or "transfer-encoding" in headers
