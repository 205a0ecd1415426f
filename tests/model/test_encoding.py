"""Events and actions come back from their journal form as they were."""

from __future__ import annotations

import math
from typing import Any, get_args

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ibdesk.model import (
    Action,
    AnyInstrument,
    Event,
    Forex,
    Future,
    Index,
    Option,
    Stock,
    decode_actions,
    decode_event,
    encode_actions,
    encode_event,
)

words = st.text(st.characters(codec="utf-8"), max_size=8)
plain = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=5,
)
instruments: st.SearchStrategy[AnyInstrument] = st.sampled_from(
    [
        Stock("AAPL"),
        Forex("EUR", currency="USD"),
        Future("ES", expiry="202612"),
        Option("AAPL", expiry="20261218", strike=250.0),
        Index("SPX"),
    ]
)


def values_of(kind: type[msgspec.Struct]) -> st.SearchStrategy:
    """Any value of a kind, from its own annotations: a field added later is drawn too."""
    fields = {field.encode_name: strategy_for(field.type) for field in msgspec.structs.fields(kind)}
    return st.fixed_dictionaries(fields).map(lambda drawn: kind(**drawn))


def strategy_for(annotation: object) -> st.SearchStrategy:
    if annotation in (AnyInstrument, Any):
        return instruments if annotation == AnyInstrument else plain
    arguments = get_args(annotation)
    if getattr(annotation, "__origin__", None) is list:
        return st.lists(strategy_for(arguments[0]), max_size=2)
    if getattr(annotation, "__origin__", None) is dict:
        return st.dictionaries(words, strategy_for(arguments[1]), max_size=3)
    if getattr(annotation, "__origin__", None) is tuple:
        return st.tuples(*map(strategy_for, arguments))
    if arguments:
        return st.one_of([strategy_for(argument) for argument in arguments])
    if isinstance(annotation, type) and issubclass(annotation, msgspec.Struct):
        return values_of(annotation)
    if annotation is int:
        return st.integers(-(2**63), 2**63 - 1)
    return words if annotation is str else st.from_type(annotation)  # type: ignore[arg-type] # a type by now


@pytest.mark.parametrize("kind", get_args(Event), ids=lambda kind: kind.__name__)
@given(data=st.data())
def test_an_event_comes_back_from_its_journal_form(kind: type[msgspec.Struct], data: st.DataObject) -> None:
    event = data.draw(values_of(kind))

    again = decode_event(encode_event(event))

    assert type(again) is kind
    # NaN is unequal to itself, so the bytes are compared.
    assert encode_event(again) == encode_event(event)


@pytest.mark.parametrize("kind", get_args(Action), ids=lambda kind: kind.__name__)
@given(data=st.data())
def test_an_action_comes_back_from_its_journal_form(kind: type[msgspec.Struct], data: st.DataObject) -> None:
    actions = data.draw(st.lists(values_of(kind), max_size=3))

    again = decode_actions(encode_actions(actions))

    assert [type(action) for action in again] == [kind] * len(actions)
    assert encode_actions(again) == encode_actions(actions)


@pytest.mark.parametrize("data", [b"", b"\x00", b"\x81\xa4type\xa4none", b"\x81\xa4type\xa3bar", b"\xff" * 40])
def test_bytes_that_are_no_event_are_refused(data: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        decode_event(data)
    with pytest.raises(msgspec.DecodeError):
        decode_actions(data)


def test_infinite_and_missing_figures_survive() -> None:
    from ibdesk.model import Account, AccountReport

    again = decode_event(encode_event(AccountReport(Account("DU1", cash=math.inf, buying_power=-0.0), 1)))

    assert isinstance(again, AccountReport)
    assert again.account.cash == math.inf
    assert math.copysign(1, again.account.buying_power) == -1
    assert math.isnan(again.account.net_liquidation)
