"""A strategy is its parameters, validated and described."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from ibdesk import Field, Strategy
from ibdesk.errors import StrategyError
from ibdesk.strategy import make_strategy


class Sized(Strategy):
    """Has parameters to be wrong about."""

    fast: int = Field(12, ge=1, description="span of the fast EMA, bars")
    size: float = Field(100, gt=0)
    venues: tuple[str, ...] = ()
    must: int = Field(ge=0)


@pytest.mark.parametrize(
    ("parameters", "sentence"),
    [
        (
            {"must": 1, "fast": 0},
            "Sized cannot have these parameters: fast: Input should be greater than or equal to 1",
        ),
        ({"must": 1, "fast": "many"}, "fast: Input should be a valid integer"),
        ({"must": 1, "size": float("nan")}, "size: Input should be greater than 0"),
        ({"must": 1, "fsat": 3}, r"fsat: Extra inputs are not permitted \(its parameters: fast, size, venues, must\)"),
        ({}, "must: Field required"),
        ({"must": -1, "size": -1}, "size: .*; must: "),
    ],
)
def test_wrong_parameters_are_refused_with_a_sentence_that_names_each(parameters: dict, sentence: str) -> None:
    with pytest.raises(StrategyError, match=sentence) as caught:
        make_strategy(Sized, parameters)

    assert "\n" not in str(caught.value)


def test_the_parameters_have_a_json_schema() -> None:
    schema = Sized.model_json_schema()

    assert schema["required"] == ["must"]
    assert schema["additionalProperties"] is False
    assert schema["properties"]["fast"] == {
        "default": 12,
        "description": "span of the fast EMA, bars",
        "minimum": 1,
        "title": "Fast",
        "type": "integer",
    }


def test_parameters_do_not_change_while_it_runs() -> None:
    strategy = make_strategy(Sized, {"must": 1})

    with pytest.raises(ValidationError, match="frozen"):
        strategy.fast = 3  # type: ignore[attr-defined] # its class is known at run time


def test_state_is_for_what_changes_and_is_each_objects_own() -> None:
    one, other = make_strategy(Sized, {"must": 1}), make_strategy(Sized, {"must": 1})

    one.state["bars"] = 3

    assert other.state == {}
