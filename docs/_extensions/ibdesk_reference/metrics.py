"""The page of metrics, from the places in the source where each family is made."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import msgspec

import ibdesk_server
from ibdesk.telemetry import PerformanceSettings
from ibdesk_reference.markdown import code, heading, table
from ibdesk_server.observability import families as families_module

_KINDS = {
    "GaugeMetricFamily": "gauge",
    "CounterMetricFamily": "counter",
    "histogram_family": "histogram",
    "Gauge": "gauge",
    "Counter": "counter",
    "Histogram": "histogram",
}
# What Prometheus appends to the name of a family, by its kind.
_SAMPLES = {"gauge": ("",), "counter": ("_total",), "histogram": ("_bucket", "_sum", "_count")}
_PREFIX = "ibdesk_"


class Family(msgspec.Struct, frozen=True):
    """One family of metrics; `labels` are those beside `worker`."""

    name: str
    kind: str
    about: str
    labels: tuple[str, ...]

    @property
    def samples(self) -> list[str]:
        """Return the names of its samples in the text form."""
        return [self.name + ending for ending in _SAMPLES[self.kind]]


def families() -> list[Family]:
    """Return every family that the source makes, by name."""
    root = Path(str(ibdesk_server.__file__)).parent
    found = {family.name: family for file in root.rglob("*.py") for family in _families_in(file)}
    return [found[name] for name in sorted(found)]


def spans() -> dict[str, tuple[float, str]]:
    """Return the steps that are timed: the budget of each in milliseconds, and what it is."""
    fields = PerformanceSettings.model_fields
    return {
        name.removesuffix("_ms"): (float(field.default), field.description or "")
        for name, field in fields.items()
        if name.endswith("_ms")
    }


def as_markdown() -> str:
    """Return every family, then the steps whose times `ibdesk_span_seconds` holds."""
    rows = [
        [
            "<br>".join(map(code, family.samples)),
            family.kind,
            ", ".join(map(code, family.labels)),
            family.about,
        ]
        for family in families()
    ]
    steps = [
        [code(name), f"{budget:g} ms", code(f"performance.{name}_ms"), about]
        for name, (budget, about) in spans().items()
    ]
    return "\n".join(
        [
            heading(2, "Families"),
            table(["samples", "kind", "labels", "what it counts"], rows),
            f"The buckets of times end at {', '.join(f'{limit:g}' for limit in families_module._LIMITS)} seconds and "
            "infinity; `ibdesk_feed_flush_seconds` has buckets of its own.\n",
            heading(2, "Steps"),
            "The label `span` of `ibdesk_span_seconds` and `ibdesk_span_slow_total` is one of these. A step that takes "
            "longer than its budget is counted as slow, and the log says so.\n",
            table(["span", "budget by default", "setting", "from and to"], steps),
        ]
    )


def _families_in(file: Path) -> Iterator[Family]:
    tree = ast.parse(file.read_bytes())
    # Labels that are named once and used for several families of one function.
    named = {
        target.id: _texts(node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name) and target.id == "labels"
    }
    for function in ast.walk(tree):
        if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        local = {
            target.id: _texts(node.value)
            for node in ast.walk(function)
            if isinstance(node, ast.Assign)
            for target in node.targets
            if isinstance(target, ast.Name)
        }
        for node in ast.walk(function):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in _KINDS:
                family = _family(node, node.func.id, named | local)
                if family is not None:
                    yield family


def _family(call: ast.Call, maker: str, named: dict[str, tuple[str, ...]]) -> Family | None:
    texts = [each.value for each in call.args[:2] if isinstance(each, ast.Constant) and isinstance(each.value, str)]
    if len(texts) != 2 or not texts[0].startswith(_PREFIX):
        return None
    given = [each.value for each in call.keywords if each.arg == "labels"] + call.args[2:3]
    labels: tuple[str, ...] = ()
    for each in given[:1]:
        labels = named.get(each.id, ()) if isinstance(each, ast.Name) else _texts(each)
    return Family(texts[0], _KINDS[maker], texts[1], labels)


def _texts(node: ast.expr) -> tuple[str, ...]:
    if not isinstance(node, ast.List | ast.Tuple):
        return ()
    return tuple(each.value for each in node.elts if isinstance(each, ast.Constant) and isinstance(each.value, str))
