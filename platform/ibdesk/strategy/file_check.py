"""The static check of a strategy file: its imports, and names that reach clock, random numbers or files.

This guards against accidents; it is not a sandbox.
"""

from __future__ import annotations

import ast
import datetime as dt
from collections.abc import Iterator
from pathlib import Path

from ibdesk.errors import StrategyError
from ibdesk.strategy.replayable import (
    CLOCK_READINGS,
    STANDARD_LIBRARY,
    UNREPLAYABLE_BUILTINS,
    may_import,
    module_of,
    refusal,
)

_ALLOWED = (
    f"allowed are ibdesk's public names, polars, numpy, pydantic and "
    f"{', '.join(sorted(STANDARD_LIBRARY - {'__future__'}))}"
)
# Attributes that lead from any object to the rest of the interpreter.
_DOORS = frozenset(
    {"__builtins__", "__globals__", "__subclasses__", "__mro__", "__base__", "__bases__", "__code__"}
    | {"__getattribute__", "__self__"}
)
_UNORDERED = frozenset({"group_by", "unique", "value_counts"})
_BY_NAME = frozenset({"attrgetter", "methodcaller"})
_MAINTAINED = frozenset({"maintain_order", "sort"})


def check_file(tree: ast.Module, path: Path) -> None:
    """Refuse imports and names that make a replay depend on more than the recorded events.

    Raises:
        StrategyError: At the first such line, with file, line, name and reason.
    """
    for line, what, why in sorted(_Check(tree).faults()):
        raise StrategyError(
            f"{path}, line {line}: a strategy may not use {what}, because its decisions could then not be replayed: "
            f"{why}"
        )


class _Check:
    """Tracks the possible meanings of names through assignments, and checks each use."""

    def __init__(self, tree: ast.Module) -> None:
        self._nodes = list(ast.walk(tree))
        self._own = {node.id for node in self._nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
        self._own |= {node.arg for node in self._nodes if isinstance(node, ast.arg)}
        # The modules, classes and functions of libraries that a name, or an attribute of that name, may be.
        self._meanings: dict[str, list[object]] = {}
        for node in self._nodes:
            self._bind_imports(node)
        for _ in range(4):
            for node in self._nodes:
                self._bind_assignments(node)

    def faults(self) -> Iterator[tuple[int, str, str]]:
        """Yield line, name and reason of each use that cannot be replayed."""
        for node in self._nodes:
            for what, why in self._judge(node):
                yield getattr(node, "lineno", 0), what, why

    # --- meanings of names

    def _bind(self, name: str, meanings: list[object]) -> None:
        known = self._meanings.setdefault(name, [])
        known += [each for each in meanings if not any(each is one for one in known)]

    def _bind_imports(self, node: ast.AST) -> None:
        if isinstance(node, ast.Import):
            for alias in node.names:
                if may_import(alias.name):
                    name = alias.name if alias.asname else alias.name.partition(".")[0]
                    self._bind(alias.asname or name, [module_of(name)])
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level and may_import(node.module):
            module = module_of(node.module)
            names = {alias.name: alias.asname or alias.name for alias in node.names}
            if "*" in names:
                public = getattr(module, "__all__", [name for name in dir(module) if not name.startswith("_")])
                names = {name: name for name in public}
            for name, own in names.items():
                self._bind(own, [getattr(module, name, None)])

    def _bind_assignments(self, node: ast.AST) -> None:
        match node:
            case ast.Assign(targets=targets, value=value):
                pairs = [(target, value) for target in targets]
            case ast.AnnAssign(target=target, value=value) | ast.NamedExpr(target=target, value=value) if value:
                pairs = [(target, value)]
            case ast.For(target=target, iter=value) | ast.comprehension(target=target, iter=value):
                pairs = [(target, value)]
            case ast.arguments():
                named = [*node.posonlyargs, *node.args]
                given = [*zip(named[len(named) - len(node.defaults) :], node.defaults, strict=True)]
                given += [(arg, value) for arg, value in zip(node.kwonlyargs, node.kw_defaults, strict=True) if value]
                for arg, value in given:
                    self._bind(arg.arg, self._meaning(value))
                return
            case _:
                return
        for target, value in pairs:
            for part, meant in _unpacked(target, value):
                if isinstance(part, ast.Name | ast.Attribute):
                    self._bind(part.id if isinstance(part, ast.Name) else part.attr, self._meaning(meant))

    def _meaning(self, node: ast.expr) -> list[object]:
        """Return the objects of libraries that an expression may be."""
        match node:
            case ast.Name(id=name):
                return self._meanings.get(name, [])
            case ast.Attribute(value=value, attr=name):
                if name == "__class__":
                    return [dt.datetime]
                owners = self._meaning(value)
                found = [getattr(owner, name) for owner in owners if hasattr(owner, name)]
                # Such an object may have been assigned to an attribute of the strategy.
                return found if owners else self._meanings.get(name, [])
            case ast.Call(func=ast.Name(id="getattr"), args=[owner, ast.Constant(value=str(name)), *_]):
                return [getattr(each, name) for each in self._meaning(owner) if hasattr(each, name)]
            case ast.Tuple(elts=parts) | ast.List(elts=parts) | ast.Set(elts=parts):
                return [each for part in parts for each in self._meaning(part)]
            case ast.Call(func=ast.Name(id="type"), args=[_]):
                # Of the classes that `type` may return, only times matter here.
                return [dt.datetime]
            case ast.Subscript(value=value):
                return self._meaning(value)
        return [each for part in _choices(node) for each in self._meaning(part)]

    # --- checks of uses

    def _judge(self, node: ast.AST) -> Iterator[tuple[str, str]]:
        match node:
            case ast.Import(names=names):
                yield from ((f"import {alias.name}", _ALLOWED) for alias in names if not may_import(alias.name))
            case ast.ImportFrom(level=level) if level:
                yield "a relative import", _ALLOWED
            case ast.ImportFrom(module=str(module), names=names):
                yield from self._judge_names(module, [alias.name for alias in names])
            case ast.Name(id=name, ctx=ast.Load()) if name in UNREPLAYABLE_BUILTINS and name not in self._own:
                yield f"{name}()", "it depends on more than the events"
            case ast.Attribute(attr=name) if name in _DOORS:
                yield name, "it gives access to everything else"
            case ast.Attribute(attr="model_fields_set"):
                yield "model_fields_set", "its order differs in each process"
            case ast.Attribute(value=value, attr=name):
                yield from self._judge_attribute(value, name)
            case ast.Call():
                yield from self._judge_call(node)

    def _judge_names(self, module: str, names: list[str]) -> Iterator[tuple[str, str]]:
        for name in names:
            full = f"{module}.{name}"
            if module == "ibdesk":
                why = refusal(module_of(module), name)
                if why is not None or name == "*":
                    yield full, _ALLOWED
            elif not may_import(full):
                yield f"import {full}", _ALLOWED
            elif name != "*" and (why := refusal(module_of(module), name)) is not None:
                yield f"import {full}", why

    def _judge_attribute(self, value: ast.expr, name: str) -> Iterator[tuple[str, str]]:
        for owner in self._meaning(value):
            why = refusal(owner, name)
            if why is not None:
                yield _words(value, name, owner), why
                return
        if name in CLOCK_READINGS and _is_time(value):
            yield ast.unparse(ast.Attribute(value, name, ast.Load())), "the time of the event is self.now"

    def _judge_call(self, node: ast.Call) -> Iterator[tuple[str, str]]:
        name = getattr(node.func, "attr", getattr(node.func, "id", ""))
        texts = {each.value for each in node.args if isinstance(each, ast.Constant) and isinstance(each.value, str)}
        keywords = {keyword.arg for keyword in node.keywords}
        if name == "getattr" and name not in self._own and len(node.args) > 1:
            for text in texts:
                yield from self._judge_attribute(node.args[0], text)
        elif texts & {"now", "utcnow", "today"} and (name == "datetime64" or self._named(node.func) & _BY_NAME):
            yield ast.unparse(node), "the time of the event is self.now"
        elif isinstance(node.func, ast.Attribute):
            yield from self._judge_method(node.func, keywords, takes_nothing=not node.args and not node.keywords)

    def _judge_method(
        self, method: ast.Attribute, keywords: set[str | None], *, takes_nothing: bool
    ) -> Iterator[tuple[str, str]]:
        name = method.attr
        if name in ("sample", "samples", "shuffle") and "seed" not in keywords:
            yield f"{name}() without seed=", "random numbers differ at each replay"
        elif name in _UNORDERED and not keywords & _MAINTAINED and "numpy" not in self._named(method.value):
            missing = "sort=True" if name == "value_counts" else "maintain_order=True"
            yield f"{name}() without {missing}", "its order differs at each replay"
        elif name == "astimezone" and takes_nothing:
            yield "astimezone() without a zone", "the machine's zone may differ"

    def _named(self, node: ast.expr) -> set[str]:
        """Return the names of the objects that an expression may be."""
        return {getattr(each, "__name__", "") for each in self._meaning(node)}


def _choices(node: ast.expr) -> list[ast.expr]:
    """Return the expressions that a larger one may evaluate to or yield."""
    match node:
        case ast.Tuple(elts=parts) | ast.List(elts=parts) | ast.Set(elts=parts) | ast.BoolOp(values=parts):
            return parts
        case ast.Dict(values=parts):
            return parts
        case ast.IfExp(body=one, orelse=other):
            return [one, other]
    return []


def _unpacked(target: ast.expr, value: ast.expr) -> list[tuple[ast.expr, ast.expr]]:
    """Return the pairs of target parts and value parts of an assignment."""
    if isinstance(target, ast.Tuple | ast.List):
        if isinstance(value, ast.Tuple | ast.List) and len(target.elts) == len(value.elts):
            return [pair for part, each in zip(target.elts, value.elts, strict=True) for pair in _unpacked(part, each)]
        return [(part, value) for part in target.elts]
    return [(target, value)]


def _is_time(value: ast.expr) -> bool:
    """Return whether an expression looks like a time: `self.now`, `bar.closed_at`."""
    match value:
        case ast.Attribute(attr="now" | "opened_at" | "closed_at"):
            return True
    return False


def _words(value: ast.expr, name: str, owner: object) -> str:
    """Return the name as written, followed by its full name if that is not obvious."""
    meant = f"{getattr(owner, '__name__', owner)}.{name}"
    written = ast.unparse(value)
    last = written.rpartition(".")[2]
    if last == meant.partition(".")[0] or (last, meant.rpartition(".")[0]) in (("np", "numpy"), ("pl", "polars")):
        return f"{last}.{name}"
    return f"{written}.{name}, which is {meant},"
