"""Loads strategies from files, and records the file's path and SHA-256."""

from __future__ import annotations

import ast
import copyreg
import hashlib
import sys
import traceback
import types
import weakref
from pathlib import Path
from typing import Any

import msgspec
from pydantic import ValidationError

from ibdesk.errors import StrategyError
from ibdesk.interrupts import is_interrupt
from ibdesk.model import StrategySource
from ibdesk.strategy.base import Strategy
from ibdesk.strategy.failures import as_strategy_error, error_words, plain_text
from ibdesk.strategy.file_check import check_file
from ibdesk.strategy.guard import namespace, with_order


class LoadedStrategy(msgspec.Struct, frozen=True):
    """A strategy class and the file it came from."""

    cls: type[Strategy]
    source: StrategySource


def load_strategy(path: str | Path) -> LoadedStrategy:
    """Return the strategy class that a file defines, with the SHA-256 of the file.

    Raises:
        StrategyError: If the file is missing, does not parse, has a forbidden import, fails while it is loaded, or does
            not define exactly one strategy. The message names the file and, if known, the line.
    """
    path = Path(path)
    try:
        code = path.read_bytes()
    except OSError as error:
        raise StrategyError(f"strategy file {path} cannot be read: {error.strerror or error}") from None
    return load_source(code, path)


def load_source(code: bytes, path: Path) -> LoadedStrategy:
    """Return the strategy class that `code` defines; `path` names it in errors. Raises like `load_strategy`."""
    try:
        tree = ast.parse(code, filename=str(path))
        # Compile the original code too, for errors that only the compiler finds.
        compile(tree, str(path), "exec")
    except (SyntaxError, ValueError) as error:
        reason = getattr(error, "msg", None) or str(error)
        raise StrategyError(f"{path}{_at(getattr(error, 'lineno', None))}: not valid Python: {reason}") from None
    check_file(tree, path)
    executable = compile(with_order(tree), str(path), "exec")
    sha256 = hashlib.sha256(code).hexdigest()
    module = types.ModuleType(f"ibdesk_strategy_{path.stem}_{sha256[:12]}")
    module.__file__ = str(path)
    module.__dict__.update(namespace())
    # Annotations are resolved in the module, which is found by its name.
    sys.modules[module.__name__] = module
    try:
        exec(executable, module.__dict__)  # noqa: S102 - a strategy is the user's own code
        cls = _only_strategy(module, path)
    except StrategyError:
        del sys.modules[module.__name__]
        raise
    except BaseException as error:
        del sys.modules[module.__name__]
        if is_interrupt(error):
            raise
        words = error_words(error).partition("\n")[0]
        raise StrategyError(f"{path}{_failed_at(error, path)}, fails while loading: {words}") from error
    source = cls._source = StrategySource(cls.__name__, str(path.resolve()), sha256)
    _loaded[source] = cls
    return LoadedStrategy(cls, source)


# The loaded classes by source, so that unpickling uses a class that is already loaded.
_loaded: weakref.WeakValueDictionary[StrategySource, type[Strategy]] = weakref.WeakValueDictionary()


def class_of(source: StrategySource) -> type[Strategy]:
    """Return the class of a source, already loaded or from its file.

    Raises:
        StrategyError: If the file is missing or has changed.
    """
    known = _loaded.get(source)
    if known is not None:
        return known
    loaded = load_strategy(source.path)
    if loaded.source.sha256 != source.sha256:
        raise StrategyError(
            f"{source.path} has changed: {source.class_name} was loaded from {source.sha256[:12]} and the file is "
            f"{loaded.source.sha256[:12]} now; restore the old file or load the file again"
        )
    return loaded.cls


def _reduced(cls: type[Any]) -> str | tuple[object, ...]:
    """Return the pickled form of a pydantic model's class: its strategy file, or its name if it has none."""
    source = vars(cls).get("_source")
    return (class_of, (source,)) if isinstance(source, StrategySource) else cls.__qualname__


copyreg.pickle(type(Strategy), _reduced)  # type: ignore[arg-type]  # its stubs know no string


def strategy_of(cls: type[Strategy]) -> LoadedStrategy:
    """Return the class as loaded from its file, so that its decisions can be replayed.

    A class defined in a notebook or a test has no file of its own: it is returned unchanged, with an empty source.

    Raises:
        StrategyError: If its file is a strategy file but cannot be loaded.
    """
    file = getattr(sys.modules.get(cls.__module__), "__file__", None)
    if file is not None and Path(file).is_file() and _is_strategy_file(Path(file), cls.__name__):
        return load_strategy(file)
    return LoadedStrategy(cls, StrategySource(cls.__name__))


def make_strategy(cls: type[Strategy], parameters: dict[str, Any]) -> Strategy:
    """Return a strategy with these parameters.

    Raises:
        StrategyError: If a parameter is unknown or out of range, or its validation code fails; the message names each.
    """
    with as_strategy_error(f"{cls.__name__} cannot have these parameters"):
        try:
            return cls(**parameters)
        except ValidationError as error:
            raise StrategyError(f"{cls.__name__} cannot have these parameters: {_faults(cls, error)}") from None


def _faults(cls: type[Strategy], error: ValidationError) -> str:
    """Return the errors of all parameters in words."""
    known = ", ".join(cls.model_fields) or "none"
    faults = "; ".join(
        f"{'.'.join(str(part) for part in fault['loc']) or cls.__name__}: {fault['msg']}"
        + (f" (its parameters: {known})" if fault["type"] == "extra_forbidden" else "")
        for fault in error.errors(include_context=False, include_input=False, include_url=False)
    )
    return plain_text(faults, longest=2_000)


def _at(line: int | None) -> str:
    return f", line {line}" if line else ""


def _failed_at(error: BaseException, path: Path) -> str:
    """Return the line of the file at which loading failed, in words."""
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
    return _at(lines[-1] if lines else None)


def _is_strategy_file(path: Path, class_name: str) -> bool:
    """Return whether a file only defines this one class; tests define more classes, and scripts run code."""
    if path.suffix != ".py" or path.name.startswith("test_"):
        return False
    body = ast.parse(path.read_bytes()).body
    classes = [node.name for node in body if isinstance(node, ast.ClassDef)]
    return classes == [class_name] and all(isinstance(node, _DEFINITIONS) or _is_text(node) for node in body)


_DEFINITIONS = (ast.Import, ast.ImportFrom, ast.Assign, ast.AnnAssign, ast.ClassDef, ast.FunctionDef)


def _is_text(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def _only_strategy(module: types.ModuleType, path: Path) -> type[Strategy]:
    found = [
        value
        for value in dict.fromkeys(value for value in vars(module).values() if isinstance(value, type))
        if issubclass(value, Strategy) and value.__module__ == module.__name__
    ]
    if len(found) != 1:
        names = ", ".join(cls.__name__ for cls in found) or "none"
        raise StrategyError(f"{path} must define exactly one subclass of ibdesk.Strategy; it defines {names}")
    return found[0]
