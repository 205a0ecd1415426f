"""The page of risk rules: every limit with the control it stands for, and the rules that have no setting."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
from pydantic.fields import FieldInfo

import ibdesk.engine
from ibdesk import errors
from ibdesk.config.setting import Setting
from ibdesk.engine import RiskLimits
from ibdesk.engine.risk_controls import CONTROLS, RiskControl
from ibdesk.errors import OrderDeniedError
from ibdesk.model import RunBudget
from ibdesk.model.venue_day import WindowKind
from ibdesk_reference.markdown import code, docstring, heading, table

_ENGINE = Path(str(ibdesk.engine.__file__)).parent
_ERROR = "OrderDeniedError"


def as_markdown() -> str:
    """Return the controls, the limits of the account, those of a run, and the other rules that deny an order."""
    return "\n".join(
        [
            heading(2, "Limits of the account"),
            docstring(RiskLimits) + "\n",
            table(["limit", "default", "what it limits", "control"], map(_limit, limits().items())),
            heading(2, "Limits of a run"),
            docstring(RunBudget) + "\n",
            table(["limit", "default", "what it does"], map(_budget_limit, msgspec.structs.fields(RunBudget))),
            heading(2, "Rules without a limit of their own"),
            "An order can also be denied by these rules. The sentence is the one that an order's row shows; its "
            "figures are examples.\n",
            table(["rule", "sentence"], [[code(rule), _sentence(rule)] for rule in other_rules()]),
            heading(2, "Controls"),
            "[Risk controls](../risk-controls.md) holds the same table beside the rule books that name each control, "
            "with its tests.\n",
            table(["control", "rule", "settings", "not covered"], map(_control, CONTROLS)),
        ]
    )


def limits() -> dict[str, FieldInfo]:
    """Return the limits of the risk gate by name."""
    found: dict[str, FieldInfo] = getattr(RiskLimits, "__pydantic_fields__", {})
    return found


def other_rules() -> list[str]:
    """Return the rules that deny an order and are no limit: what the engine's source passes to the error."""
    rules = {rule for file in sorted(_ENGINE.glob("*.py")) for rule in _rules_in(file)}
    # Some files pass a rule that they have looked up: those have a sentence of their own in `errors`.
    rules |= {kind.value for kind in WindowKind} | set(errors._REASONS)
    return sorted(rules - set(limits()))


def _limit(named: tuple[str, FieldInfo]) -> list[str]:
    name, field = named
    setting = f"risk.{name}"
    control = next((each.name for each in CONTROLS if setting in each.settings), "")
    bounds = Setting(("risk", name), field).bounds
    about = field.description or ""
    return [
        f"[{code(name)}](#settings-risk)",
        code(_shown(field.default)),
        f"{about} ({bounds})" if bounds else about,
        control,
    ]


def _control(control: RiskControl) -> list[str]:
    return [control.name, control.rule or "none", "<br>".join(map(code, control.settings)), control.missing]


def _budget_limit(field: Any) -> list[str]:
    rule = f"budget.{field.name}"
    denies = any(f'"{rule}"' in file.read_text() for file in _ENGINE.glob("*.py"))
    # What the losses of a run do is set together with what those of the account do.
    setting = f"risk.{field.name.replace('max_', 'on_')}"
    about = f"denies an order by the rule {code(rule)}" if denies else f"halts the run, as {code(setting)} says"
    return [code(field.name), code(_shown(field.default)), about]


def _shown(value: Any) -> str:
    if isinstance(value, float) and value.is_integer():
        return f"{int(value):,}"
    return str(value).lower() if isinstance(value, bool) else str(value)


def _sentence(rule: str) -> str:
    """Return what a denial by a rule says, with figures that any order could have."""
    moment = 1_780_000_000.0
    limit, asked = (moment, moment) if rule in _timed() else (5.0, 7.0)
    return OrderDeniedError("EmaCross-1.7", rule, limit, asked).reason


def _timed() -> set[str]:
    return {"market_closed", *(kind.value for kind in WindowKind)}


def _rules_in(file: Path) -> Iterator[str]:
    """Yield the rules of a file: the second argument of each denial, given as text or by a constant of the file."""
    tree = ast.parse(file.read_bytes())
    constants = {
        target.id: node.value.value
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == _ERROR:
            rule = node.args[1]
            if isinstance(rule, ast.Constant):
                yield str(rule.value)
            elif isinstance(rule, ast.Name) and rule.id in constants:
                yield constants[rule.id]
