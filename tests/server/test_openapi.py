"""The description of the interface: complete, true to itself, and its examples work when they are sent."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from jsonschema import Draft202012Validator  # type: ignore[import-untyped] # it ships no types
from referencing import Registry
from referencing.jsonschema import DRAFT202012
from tests.plain_http import PLAIN

from ibdesk_server.content import JSON, MSGPACK, PROBLEM
from ibdesk_server.security.principal import Role

Operation = tuple[str, str, dict[str, Any]]

# What a test had better not do with the examples: end its own login, lock itself out, or read for ever.
NOT_SENT = {"/api/v1/events", "/logout", "/session", "/api/v1/auth/logout", "/login"}


@pytest.fixture
async def document(api: httpx.AsyncClient) -> dict[str, Any]:
    found: dict[str, Any] = (await api.get("/openapi.json")).json()
    return found


def operations(document: dict[str, Any]) -> Iterator[Operation]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield method, path, operation


def check(example: Any, schema: dict[str, Any], document: dict[str, Any]) -> None:
    """Raise if the example is none of what the schema describes."""
    registry: Registry[Any] = Registry().with_resource("urn:document", DRAFT202012.create_resource(document))
    base = {"$id": "urn:here", "allOf": [_absolute(schema)]}
    Draft202012Validator(base, registry=registry, format_checker=Draft202012Validator.FORMAT_CHECKER).validate(example)


def _absolute(value: Any) -> Any:
    """Return a schema whose references lead into the document."""
    if isinstance(value, dict):
        return {
            name: f"urn:document{part}" if name == "$ref" else _absolute(part)
            for name, part in value.items()
            if name != "discriminator"
        }
    return [_absolute(part) for part in value] if isinstance(value, list) else value


async def test_every_operation_is_described(document: dict[str, Any]) -> None:
    found = list(operations(document))
    ids = [operation["operationId"] for _, _, operation in found]

    assert len(found) >= 50
    assert len(set(ids)) == len(ids)
    for method, path, operation in found:
        where = (method, path)
        assert operation["summary"], where
        assert len(operation["description"]) > 10, where
        assert all(parameter.get("description") for parameter in operation.get("parameters", ())), where
        assert all(response["description"] for response in operation["responses"].values()), where
    assert all(tag["description"] for tag in document["tags"])


async def test_every_operation_names_its_role_and_the_ways_in(document: dict[str, Any]) -> None:
    roles = {role.value for role in Role}
    for method, path, operation in operations(document):
        if operation["security"] == []:
            assert path in {"/", "/health", "/health/live", "/login", "/api/v1/auth/login", "/api/v1/auth/refresh"}, (
                path
            )
            continue
        assert operation["x-role"] in roles, path
        assert f"Needs the role **{operation['x-role']}**." in operation["description"]
        assert {next(iter(way)) for way in operation["security"]} == set(document["components"]["securitySchemes"])
        if method != "get" and "auth" not in path and path not in NOT_SENT:
            assert operation["x-role"] in {"trader", "admin"}, path


async def test_every_error_is_a_problem(document: dict[str, Any]) -> None:
    for _, path, operation in operations(document):
        failures = {status: each for status, each in operation["responses"].items() if status[0] in "45"}
        assert failures
        for status, response in failures.items():
            for kind in (PROBLEM, MSGPACK):
                content = response["content"][kind]
                assert content["schema"] == {"$ref": "#/components/schemas/Problem"}, (path, status)
                check(content["example"], content["schema"], document)


async def test_every_body_has_an_example_that_is_valid(document: dict[str, Any]) -> None:
    count = 0
    for _, path, operation in operations(document):
        contents = [response.get("content", {}) for response in operation["responses"].values()]
        contents.append(operation.get("requestBody", {}).get("content", {}))
        for content in contents:
            for kind, body in content.items():
                if kind in {JSON, MSGPACK} and body.get("schema"):
                    assert "example" in body, path
                    check(body["example"], body["schema"], document)
                    count += 1
    assert count > 100


async def test_every_parameter_that_must_be_given_has_an_example(document: dict[str, Any]) -> None:
    for _, path, operation in operations(document):
        for parameter in operation.get("parameters", ()):
            if parameter.get("required") or "example" in parameter:
                check(parameter["example"], parameter["schema"], document)
            assert "example" in parameter or "default" in parameter["schema"] or not parameter.get("required"), path


async def test_msgpack_stands_beside_json(document: dict[str, Any]) -> None:
    for _, path, operation in operations(document):
        if not path.startswith("/api/v1/"):
            continue
        for status, response in operation["responses"].items():
            content = response.get("content", {})
            assert (JSON in content) <= (MSGPACK in content), (path, status)


async def test_the_examples_work_when_they_are_sent(api: httpx.AsyncClient, document: dict[str, Any]) -> None:
    """Each is understood: what is refused is refused for what the desk holds, and with a status that is described."""
    for method, path, operation in operations(document):
        if path in NOT_SENT:
            continue
        values = {each["name"]: each["example"] for each in operation.get("parameters", ()) if "example" in each}
        places = {each["name"]: each["in"] for each in operation.get("parameters", ())}
        filled = path
        for name, place in places.items():
            if place == "path":
                filled = filled.replace(f"{{{name}}}", str(values[name]))
        required = {each["name"] for each in operation.get("parameters", ()) if each.get("required")}
        query = {name: values[name] for name in required if places[name] == "query"}
        body = operation.get("requestBody", {}).get("content", {}).get(JSON, {}).get("example")

        answer = await api.request(method, filled, params=query, json=body)

        assert str(answer.status_code) in operation["responses"], (method, path, answer.text)
        assert answer.status_code not in {400, 413, 415, 500}, (method, path, answer.text)
        if answer.status_code == 422:
            # The strategy and the user of the examples are not there.
            assert answer.json()["errors"] == [], (method, path, answer.text)
        answered = operation["responses"][str(answer.status_code)].get("content", {}).get(JSON, {})
        if answer.is_success and "schema" in answered:
            check(answer.json(), answered["schema"], document)


async def test_two_apps_beside_each_other_share_nothing(
    desk: Any, start_web: Any, api: httpx.AsyncClient, document: dict[str, Any], key: str
) -> None:
    others = [await start_web(desk) for _ in range(3)]

    for other in others:
        async with httpx.AsyncClient(base_url=other.url, headers={"X-API-Key": key}, **PLAIN) as client:
            assert (await client.get("/openapi.json")).json() == document
        assert other.app.state.services is not api
    assert len({id(other.app.state.services.idempotency) for other in others}) == 3
