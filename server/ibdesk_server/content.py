"""JSON or msgpack: which of the two a caller sends and wants, and the translation between them.

Routes know JSON alone. A body in msgpack is translated on its way in, and an answer in JSON on its way out when
`Accept` prefers msgpack; problems too.
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

# Names under which msgpack went before it was registered.
_OLD_NAMES = ("application/x-msgpack", "application/vnd.msgpack")
_PACKABLE = (JSON.encode(), PROBLEM.encode())
_BODILESS = frozenset({"GET", "HEAD", "OPTIONS"})
# A strong entity tag belongs to one form of a thing; the tag of the msgpack form ends so.
_PACKED_TAG = '.msgpack"'


async def require_readable_answer(request: Request) -> None:
    """Refuse a request whose `Accept` leaves no form that its answer could have, before anything is done."""
    if preferred(_accept(request.headers), (JSON, MSGPACK)) is None:
        raise HTTPException(406, f"answers come as {JSON} or {MSGPACK}: let `Accept` name one of them")


class PackingMiddleware:
    """Answers in msgpack whom likes that best; outside of whatever answers with a problem."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve an ASGI connection."""
        if scope["type"] == "http" and preferred(_accept(Headers(scope=scope)), (JSON, MSGPACK)) == MSGPACK:
            send = _Packer(send)
        await self._app(scope, receive, send)


class UnpackingMiddleware:
    """Reads bodies in msgpack, and refuses those of the interface that are neither that nor JSON (415)."""

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
            refusal = f"send a body as {JSON} or {MSGPACK}: the kind of this one is {kind or 'not said'}"
            await problem_response(415, refusal, path=scope["path"])(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _unpack(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            # What is beyond the limit of a body ends in a disconnect, and is refused further out.
            body = await Request(scope, receive).body()
            body = msgspec.json.encode(msgspec.msgpack.decode(body)) if body else body
        except ClientDisconnect:
            return
        except (msgspec.DecodeError, TypeError, ValueError, RecursionError) as error:
            refusal = f"the body is no msgpack that can be read: {error}"
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
        # In place: who stands further out reads from the scope which route has served it.
        scope["headers"] = fields
        await self._app(scope, unpacked_receive, send)


class _Packer:
    """Passes messages of a response on; a body in JSON as msgpack, once it is whole."""

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
    """Return the entity tag of the JSON form for that of either form."""
    return tag.removesuffix(_PACKED_TAG) + '"' if tag.endswith(_PACKED_TAG) else tag


def _accept(headers: Headers) -> str:
    return _modern(",".join(headers.getlist("accept")))


def _modern(kinds: str) -> str:
    for name in _OLD_NAMES:
        kinds = kinds.replace(name, MSGPACK)
    return kinds


def _has_body(headers: Headers) -> bool:
    return headers.get("content-length", "0") != "0" or "transfer-encoding" in headers
