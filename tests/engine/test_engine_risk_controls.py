"""The table of risk controls names settings and tests that exist, and the documentation is made from it."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest

from ibdesk.desk import DeskSettings
from ibdesk.engine import RiskLimits
from ibdesk.engine.risk_controls import CONTROLS, FIA, RTS, SEC, RiskControl, as_markdown

ROOT = Path(__file__).parents[2]


def by_name(control: RiskControl) -> str:
    return control.name


@pytest.mark.parametrize("control", CONTROLS, ids=by_name)
def test_each_test_of_the_table_exists(control: RiskControl) -> None:
    for named in control.tests:
        path, name = named.split("::")
        source = (ROOT / path).read_text(encoding="utf-8")
        assert re.search(rf"^(async )?def {name}\(", source, re.MULTILINE), named


@pytest.mark.parametrize("control", CONTROLS, ids=by_name)
def test_a_control_has_a_rule_with_tests_or_says_what_is_missing(control: RiskControl) -> None:
    assert bool(control.rule) == bool(control.tests)
    assert control.rule or control.missing
    assert all(source.startswith((FIA, SEC, RTS)) for source in control.sources)


def test_each_setting_of_the_table_exists() -> None:
    for name in {name for control in CONTROLS for name in control.settings}:
        first, *rest = name.split(".")
        if first in DeskSettings.others:
            continue
        assert first in DeskSettings.model_fields, name
        found = DeskSettings.model_fields[first].annotation
        for part in rest:
            fields = getattr(found, "model_fields", None) or getattr(found, "__dataclass_fields__", {})
            assert part in fields, name
            found = getattr(fields[part], "annotation", None)


def test_every_limit_of_the_risk_gate_is_in_the_table() -> None:
    limits = {f"risk.{field.name}" for field in dataclasses.fields(RiskLimits)}

    assert limits <= {name for control in CONTROLS for name in control.settings}


def test_names_are_used_once() -> None:
    names = [control.name for control in CONTROLS]

    assert len(names) == len(set(names))


def test_the_documentation_is_made_from_the_table() -> None:
    written = (ROOT / "docs" / "risk-controls.md").read_text(encoding="utf-8")

    assert written == as_markdown(), "run `make controls`"
