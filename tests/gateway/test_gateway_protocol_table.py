"""The gateway's tables agree field by field with the reference tables of the protocol.

The reference is not part of this project. It is searched beside the recordings of genuine traffic: as `fields.py` in
the folder above the one that `IBDESK_TWS_RECORDINGS` names, or in `../shared/tws` beside the checkout.
"""

from __future__ import annotations

import ast
import importlib.util
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from ibdesk.gateway.protocol.codec import plan_of
from ibdesk.gateway.protocol.fields import (
    CONDITION_BODIES,
    AnyOf,
    ConditionBody,
    ContentTest,
    Entry,
    Field,
    MessageSpec,
    NoneOf,
    OneOf,
    Positive,
    Repeat,
    When,
)
from ibdesk.gateway.protocol.incoming import INCOMING
from ibdesk.gateway.protocol.outgoing import OUTGOING

ROOT = Path(__file__).parents[2]
RECORDINGS = Path(os.environ.get("IBDESK_TWS_RECORDINGS", ROOT.parent / "shared" / "tws" / "recorded"))
REFERENCE = RECORDINGS.parent / "fields.py"
VERSIONS = range(157, 179)

pytestmark = pytest.mark.skipif(
    not REFERENCE.exists(), reason=f"no reference tables at {REFERENCE}; set IBDESK_TWS_RECORDINGS"
)

# The common notation of a message: a line for each field, indented below the fields it depends on.
Lines = list[tuple[str, ...]]

# Messages that the gateway has beside those of the reference.
BESIDE_OUT = frozenset({"softDollarTiers"})
BESIDE_IN = frozenset({"reqSoftDollarTiers", "cancelHistogramData", "cancelScannerSubscription"})
# Not on the wire at the versions served: 108 and 109 came with 196 and 197.
AFTER_178 = frozenset({108, 109})


@pytest.fixture(scope="module")
def reference() -> Iterator[ModuleType]:
    spec = importlib.util.spec_from_file_location("tws_fields_reference", REFERENCE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


# ---- our tables ---------------------------------------------------------------------------------------------------


def ours(entries: tuple[Entry, ...], under: tuple[str, ...] = ()) -> Lines:
    lines: Lines = []
    for entry in entries:
        match entry:
            case Field(name, kind, constant):
                lines.append((*under, f"{name}:{kind.value}" + (f"={constant}" if constant else "")))
            case When(test, then):
                lines += ours(then, (*under, wording(test)))
            case Repeat(count, _, each):
                lines.append((*under, f"{count}:count"))
                lines += ours(each, (*under, "each"))
            case ConditionBody():
                lines.append((*under, "condition"))
    return lines


def wording(test: ContentTest) -> str:
    match test:
        case OneOf(name, texts):
            return f"{name} in {sorted(texts)}"
        case NoneOf(name, texts):
            return f"{name} not in {sorted(texts)}"
        case Positive(name):
            return f"{name} positive"
        case AnyOf(tests):
            return " or ".join(sorted(map(wording, tests)))


# ---- the reference's tables -----------------------------------------------------------------------------------------


def theirs(entries: list[Any], version: int, under: tuple[str, ...] = ()) -> Lines:
    lines: Lines = []
    for entry in entries:
        match entry:
            case str():
                lines.append((*under, entry))
            case ("if", condition, then):
                holds, words = condition_at(condition, version)
                if holds:
                    lines += theirs(then, version, (*under, words) if words else under)
            case ("rep", count, each):
                lines.append((*under, f"{count}:count"))
                lines += theirs(each, version, (*under, "each"))
            case ("cond",):
                lines.append((*under, "condition"))
    return lines


def condition_at(text: str, version: int) -> tuple[bool, str]:
    """Return whether a condition can hold at a version, and its requirement for the fields."""
    tree = ast.parse(text, mode="eval").body
    parts = tree.values if isinstance(tree, ast.BoolOp) and isinstance(tree.op, ast.And) else [tree]
    words = []
    for part in parts:
        if isinstance(part, ast.Compare) and isinstance(part.left, ast.Name) and part.left.id == "sv":
            limit = ast.literal_eval(part.comparators[0])
            holds = {
                ast.GtE: version >= limit,
                ast.Lt: version < limit,
                ast.Eq: version == limit,
            }[type(part.ops[0])]
            if not holds:
                return False, ""
        else:
            words.append(content_wording(part))
    return True, " and ".join(words)


def content_wording(part: ast.expr) -> str:
    match part:
        case ast.BoolOp(op=ast.Or(), values=values):
            return " or ".join(sorted(map(content_wording, values)))
        case ast.Compare(left=left, ops=[operator], comparators=[right]):
            texts = ast.literal_eval(right)
            texts = [texts] if isinstance(texts, str) else sorted(texts)
            return f"{field_of(left)} {'not in' if isinstance(operator, ast.NotIn) else 'in'} {texts}"
        case ast.Call(func=ast.Name("pos"), args=[field]):
            return f"{field_of(field)} positive"
        case _:
            # A field on its own: it holds when there is text in it.
            return f"{field_of(part)} not in {['']}"


def field_of(part: ast.expr) -> str:
    match part:
        case ast.Subscript(slice=ast.Constant(value=str(name))):
            return name
        case ast.Call(args=[ast.Constant(value=str(name))]):
            return name
        case _:
            raise AssertionError(f"a condition of an unknown form: {ast.dump(part)}")


# ---- both -----------------------------------------------------------------------------------------------------------


def without_names_of_counts(lines: Lines) -> Lines:
    """Return the lines with every count called `count`: only the number of groups matters, not its name."""
    renamed = []
    for line in lines:
        last = "count" if line[-1].endswith(":count") else line[-1]
        renamed.append((*line[:-1], last))
    return renamed


def differences(ours_by_id: dict[int, MessageSpec], theirs_by_id: dict[int, Any]) -> Iterator[str]:
    for number, (name, entries) in theirs_by_id.items():
        if number in AFTER_178:
            continue
        message = ours_by_id.get(number)
        if message is None or message.name != name:
            yield f"{number} is {name} in the reference and {message.name if message else 'missing'} here"
            continue
        for version in VERSIONS:
            here = without_names_of_counts(ours(plan_of(message, version)))
            there = without_names_of_counts(theirs(entries, version))
            if here != there:
                odd = [line for line in [*here, *there] if line not in here or line not in there]
                yield f"{name} at {version}: {odd or 'the same fields in another order'}"


def test_every_message_of_the_server_is_laid_out_as_in_the_reference_at_every_version(reference: ModuleType) -> None:
    assert list(differences(OUTGOING, reference.OUT)) == []
    assert {message.name for message in OUTGOING.values()} - {name for name, _ in reference.OUT.values()} == BESIDE_OUT


def test_every_message_of_a_client_is_laid_out_as_in_the_reference_at_every_version(reference: ModuleType) -> None:
    assert list(differences(INCOMING, reference.IN)) == []
    assert {message.name for message in INCOMING.values()} - {name for name, _ in reference.IN.values()} == BESIDE_IN


def test_the_types_of_order_conditions_are_laid_out_as_in_the_reference(reference: ModuleType) -> None:
    assert {kind: ours(body) for kind, body in CONDITION_BODIES.items()} == {
        kind: theirs(body, 178) for kind, body in reference.COND_FIELDS.items()
    }
