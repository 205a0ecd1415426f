"""JSON and msgpack: which of the two is spoken, and what is refused."""

from __future__ import annotations

import httpx
import msgpack  # type: ignore[import-untyped] # it ships no types
import pytest

from ibdesk_server.accept import preferred
from ibdesk_server.content import JSON, MSGPACK

REASON = {"reason": "the spread looks wrong"}


@pytest.mark.parametrize(
    ("accept", "chosen"),
    [
        ("", JSON),
        ("*/*", JSON),
        ("application/*", JSON),
        ("text/html,application/xhtml+xml,*/*;q=0.8", JSON),
        ("application/msgpack", MSGPACK),
        ("application/msgpack, application/json;q=0.5", MSGPACK),
        ("application/msgpack;q=0.5, application/json", JSON),
        ("application/json;q=0, */*", MSGPACK),
        ("application/json;q=0.1, application/*;q=0.2", MSGPACK),
        ("APPLICATION/MSGPACK ; q=1", MSGPACK),
        ("text/html", None),
        ("application/json;q=0", None),
        ("application/json;q=much", None),
        (",,;", None),
    ],
)
def test_the_form_is_the_one_that_accept_likes_best(accept: str, chosen: str | None) -> None:
    assert preferred(accept, (JSON, MSGPACK)) == chosen


@pytest.mark.parametrize("name", ["application/msgpack", "application/x-msgpack", "application/vnd.msgpack"])
async def test_an_answer_in_msgpack_says_the_same_as_in_json(api: httpx.AsyncClient, name: str) -> None:
    plain = await api.get("/api/v1/strategies")
    packed = await api.get("/api/v1/strategies", headers={"Accept": name})

    assert packed.headers["content-type"] == MSGPACK
    assert "Accept" in packed.headers["vary"]
    assert msgpack.unpackb(packed.content) == plain.json()
    assert int(packed.headers["content-length"]) == len(packed.content) < len(plain.content)


async def test_a_problem_comes_in_msgpack_too(api: httpx.AsyncClient, stranger: httpx.AsyncClient) -> None:
    headers = {"Accept": MSGPACK}
    missing = await api.get("/api/v1/runs/nobody", headers=headers)
    unknown = await stranger.get("/api/v1/account", headers=headers)
    too_long = await api.post("/api/v1/risk/halt", content=b"x" * 2_000_000, headers=headers)

    for answer, status in ((missing, 404), (unknown, 401), (too_long, 413)):
        assert (answer.status_code, answer.headers["content-type"]) == (status, MSGPACK)
        assert msgpack.unpackb(answer.content)["correlation_id"] == answer.headers["x-request-id"]


async def test_a_body_may_be_msgpack(api: httpx.AsyncClient) -> None:
    headers = {"Content-Type": MSGPACK}

    halted = await api.post("/api/v1/risk/halt", content=msgpack.packb(REASON), headers=headers)
    during = (await api.get("/health/detailed")).json()["desk"]["halted"]
    body = msgpack.packb(REASON | {"id": halted.json()["id"]})
    resumed = await api.post("/api/v1/risk/resume", content=body, headers=headers)

    assert (halted.status_code, during, resumed.status_code) == (200, "the spread looks wrong", 204)


@pytest.mark.parametrize(
    "body",
    [
        b"\xc1",
        b"\x81\xa6reason",
        b"\x91" * 100_000 + b"\xc0",
        msgpack.packb({"reason": msgpack.ExtType(7, b"?")}),
        msgpack.packb({b"\xff": "not text"}),
    ],
    ids=["never used", "cut off", "deep", "extension", "key of bytes"],
)
async def test_a_body_that_is_no_msgpack_is_refused(api: httpx.AsyncClient, body: bytes) -> None:
    answer = await api.post("/api/v1/risk/halt", content=body, headers={"Content-Type": MSGPACK})

    assert answer.status_code in {400, 422}, answer.text
    assert answer.headers["content-type"] == "application/problem+json"


async def test_a_msgpack_body_has_the_limit_of_every_body(api: httpx.AsyncClient) -> None:
    async def pieces():
        for _ in range(20):
            yield b"x" * 100_000

    answer = await api.post("/api/v1/risk/halt", content=pieces(), headers={"Content-Type": MSGPACK})

    assert answer.status_code == 413


@pytest.mark.parametrize("kind", ["text/plain", "application/xml", "application/x-www-form-urlencoded", ""])
async def test_a_body_of_another_kind_is_refused_and_changes_nothing(api: httpx.AsyncClient, kind: str) -> None:
    headers = {"Content-Type": kind} if kind else {}
    answer = await api.post("/api/v1/risk/halt", content=b'{"reason": "no"}', headers=headers)

    assert answer.status_code == 415
    assert "send a body as application/json or application/msgpack" in answer.json()["detail"]
    assert (await api.get("/health/detailed")).json()["desk"]["halted"] == ""


async def test_who_takes_neither_form_is_refused_before_anything_is_done(api: httpx.AsyncClient) -> None:
    answer = await api.post("/api/v1/risk/halt", json=REASON, headers={"Accept": "text/html"})

    assert answer.status_code == 406
    assert answer.json()["detail"].startswith("answers come as application/json or application/msgpack")
    assert (await api.get("/health/detailed")).json()["desk"]["halted"] == ""
