"""The page of the REST interface, from its OpenAPI document."""

from __future__ import annotations

import json
import re
from typing import Any

from ibdesk_reference.markdown import code, escaped, heading, line, table
from ibdesk_server import app
from ibdesk_server.openapi import describe

Plain = dict[str, Any]
_PROBLEM = "application/problem+json"
_WORDS = {"string": "text", "boolean": "true or false"}
_METHODS = ("get", "post", "put", "patch", "delete")


def document() -> Plain:
    """Return the document that the server answers with at `/openapi.json`."""
    found: Plain = describe(app._ROUTERS)
    return found


def as_markdown() -> str:
    """Return every route by area, the meaning of every status, and every body."""
    found = document()
    parts = [heading(2, "Statuses", target="rest-statuses"), table(["status", "meaning"], _statuses(found))]
    for tag in found["tags"]:
        parts += [heading(2, tag["name"].capitalize(), target=f"rest-{tag['name']}"), tag["description"] + "\n"]
        for path, operations in found["paths"].items():
            parts += [
                _operation(path, method, operations[method], found)
                for method in _METHODS
                if method in operations and operations[method]["tags"][0] == tag["name"]
            ]
    parts += [heading(2, "Bodies"), *(_schema(name, schema, found) for name, schema in _schemas(found))]
    return "\n".join(parts)


def name_of(method: str, path: str) -> str:
    """Return a route as its heading has it."""
    return f"{method.upper()} {path}"


def _operation(path: str, method: str, operation: Plain, found: Plain) -> str:
    role = operation.get("x-role")
    about = re.sub(r"\s*Needs the role \*\*\w+\*\*\.", "", operation["description"])
    access = f"Needs the role {code(role)}." if role else "Needs no key."
    parts = [
        heading(3, code(name_of(method, path))),
        f"**{operation['summary']}**\n",
        escaped(line(about)) + "\n",
        access + "\n",
    ]
    if rows := [_parameter(each, found) for each in operation.get("parameters", ())]:
        parts.append(table(["parameter", "where", "type", "what it is"], rows))
    if body := _schema_of(operation.get("requestBody", {}), found):
        parts.append(f"Body: {body}.\n")
    responses = sorted(operation["responses"].items())
    answers = [
        f"{code(status)} {_answer(response, found)}" for status, response in responses if not _is_problem(response)
    ]
    problems = [code(status) for status, response in responses if _is_problem(response)]
    parts.append(f"* Answers: {'; '.join(answers)}")
    parts.append(f"* [Problems](#rest-statuses): {', '.join(problems)}\n")
    return "\n".join(parts)


def _is_problem(response: Plain) -> bool:
    return _PROBLEM in response.get("content", {})


def _answer(response: Plain, found: Plain) -> str:
    schema = _schema_of(response, found)
    return f"{response['description']}: {schema}" if schema else response["description"].rstrip(".")


def _parameter(parameter: Plain, found: Plain) -> list[str]:
    required = ", required" if parameter.get("required") and parameter["in"] != "path" else ""
    return [
        code(parameter["name"]),
        f"{parameter['in']}{required}",
        _kind(parameter["schema"], found),
        escaped(line(parameter.get("description", ""))),
    ]


def _schema_of(part: Plain, found: Plain) -> str:
    """Return a link to the schema of a body in JSON, or its type in words."""
    content = part.get("content", {}).get("application/json", {})
    return _kind(content["schema"], found) if content.get("schema") else ""


def _kind(schema: Plain, found: Plain) -> str:
    """Return the type of a value in words, with links to schemas."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"[{code(_title(name, found))}](#{_target(name)})"
    for choice in ("anyOf", "oneOf", "allOf"):
        if choice in schema:
            return " or ".join(dict.fromkeys(_kind(each, found) for each in schema[choice]))
    if "const" in schema:
        return code(schema["const"])
    if "enum" in schema:
        return ", ".join(map(code, schema["enum"]))
    kind = schema.get("type", "any")
    if kind == "array":
        return f"list of {_kind(schema.get('items', {}), found)}"
    if kind == "object" and isinstance(schema.get("additionalProperties"), dict):
        return f"object of {_kind(schema['additionalProperties'], found)}"
    limits = [
        f"{word} {schema[name]:g}"
        for name, word in (
            ("minimum", "from"),
            ("exclusiveMinimum", "above"),
            ("maximum", "to"),
            ("exclusiveMaximum", "below"),
            ("maxLength", "length to"),
        )
        if name in schema
    ]
    shown = _WORDS.get(kind, str(kind))
    form = schema.get("format", "")
    return ", ".join([f"{shown} ({form})" if form else shown, *limits])


def _schemas(found: Plain) -> list[tuple[str, Plain]]:
    return sorted(found["components"]["schemas"].items())


def _schema(name: str, schema: Plain, found: Plain) -> str:
    parts = [heading(3, code(_title(name, found)), target=_target(name))]
    if schema.get("description"):
        parts.append(escaped(line(schema["description"])) + "\n")
    required = schema.get("required", [])
    rows = [
        [
            code(field),
            _kind(part, found) + ("" if field in required else _default(part)),
            escaped(line(part.get("description", ""))),
        ]
        for field, part in schema.get("properties", {}).items()
    ]
    parts.append(table(["field", "type", "what it is"], rows) if rows else f"{_kind(schema, found)}\n")
    return "\n".join(parts)


def _default(part: Plain) -> str:
    if part.get("default") in (None, "", [], {}):
        return ", optional"
    return f", default {code(json.dumps(part['default']))}"


def _statuses(found: Plain) -> list[list[str]]:
    said: dict[str, str] = {}
    for operations in found["paths"].values():
        for method in _METHODS:
            for status, response in operations.get(method, {}).get("responses", {}).items():
                if _PROBLEM in response.get("content", {}):
                    said.setdefault(status, response["description"])
    return [[code(status), about] for status, about in sorted(said.items())]


def _title(name: str, found: Plain) -> str:
    """Return the name of a schema as Python has it: `Listing[OrderAnswer]`."""
    return str(found["components"]["schemas"][name].get("title", name))


def _target(name: str) -> str:
    return f"rest-schema-{name.lower()}"
