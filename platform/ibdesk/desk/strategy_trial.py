"""A first load of a strategy file in a separate process with limits, before a process that trades or serves loads it.

``python -m ibdesk.desk.strategy_trial`` is that process: it reports when it has imported its libraries, reads the code
from standard input, and answers with the file's definitions or the reason why it cannot be used.
"""

from __future__ import annotations

import base64
import contextlib
import functools
import hashlib
import inspect
import json
import os
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
from pydantic_core import to_jsonable_python

from ibdesk.desk.strategy_limits import TrialLimits
from ibdesk.errors import StrategyError
from ibdesk.model import StrategySource
from ibdesk.strategy import LoadedStrategy, load_source, make_strategy

# Time for the interpreter and its libraries to start on a busy machine.
_START_SECONDS = 120.0
_READY = b"ready\n"


class TriedStrategy(msgspec.Struct, frozen=True):
    """The definitions of a strategy file."""

    class_name: str
    description: str
    sha256: str
    parameters: dict[str, Any]
    """The JSON schema of the parameters."""


def try_file(path: Path, parameters: dict[str, object] | None, limits: TrialLimits) -> TriedStrategy:
    """Load a strategy file in a separate process and return its definitions.

    With `parameters` the strategy is also created with them. A successful trial is not repeated.

    Raises:
        StrategyError: If the file cannot be read or used, the parameters are not valid, or it exceeds the limits.
    """
    return _tried(_read(path), path, _as_json(parameters), limits)


def load_tried(path: Path, parameters: dict[str, object], limits: TrialLimits) -> LoadedStrategy:
    """Try a strategy file with its parameters, and load exactly the code that was tried. Raises as `try_file`."""
    code = _read(path)
    _tried(code, path, _as_json(parameters), limits)
    return load_source(code, path)


def try_parameters(source: StrategySource, parameters: dict[str, object], limits: TrialLimits) -> None:
    """Try other parameters with a run's file, if it has not changed since the start. Raises as `try_file`."""
    path = Path(source.path)
    if source.path and path.is_file() and hashlib.sha256(code := _read(path)).hexdigest() == source.sha256:
        _tried(code, path, _as_json(parameters), limits)


def _as_json(parameters: dict[str, object] | None) -> str:
    return json.dumps(to_jsonable_python(parameters, serialize_unknown=True))


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise StrategyError(f"strategy file {path} cannot be read: {error.strerror or error}") from None


@functools.lru_cache(maxsize=256)
def _tried(code: bytes, path: Path, parameters: str, limits: TrialLimits) -> TriedStrategy:
    task = {
        "code": base64.b64encode(code).decode(),
        "path": str(path),
        "parameters": json.loads(parameters),
        "memory_bytes": limits.memory_bytes,
        "seconds": limits.seconds,
    }
    with subprocess.Popen(  # noqa: S603 - our own module
        [sys.executable, "-m", __name__],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        # One thread, so that the trading process keeps the other cores. Ctrl-C in a terminal reaches only the parent.
        env=os.environ | {"POLARS_MAX_THREADS": "1"},
        start_new_session=True,
    ) as process:
        try:
            answer, errors = _asked(process, json.dumps(task).encode(), limits)
        except subprocess.TimeoutExpired:
            raise StrategyError(
                f"{path} takes more than {limits.seconds:g} s to load: a strategy file defines and computes nothing "
                f"(strategy_load_seconds sets the limit)"
            ) from None
        finally:
            process.kill()
    return _answer(answer, errors, path, process.returncode, limits)


def _asked(process: subprocess.Popen[bytes], task: bytes, limits: TrialLimits) -> tuple[bytes, bytes]:
    """Return the process's answer and standard error, after it has imported its libraries and read the task."""
    assert process.stdout is not None  # noqa: S101 - for the type checker; it was asked for
    # A timer kills a process that is not ready in time: `communicate` would read past the line.
    watch = _Watch(process, _START_SECONDS)
    with watch:
        first = process.stdout.readline()
    if first != _READY:
        return b"", process.communicate()[1]
    return process.communicate(task, timeout=limits.seconds)


class _Watch:
    """Kills a process if the ``with`` block takes longer than `seconds`."""

    def __init__(self, process: subprocess.Popen[bytes], seconds: float) -> None:
        import threading

        self._timer = threading.Timer(seconds, process.kill)

    def __enter__(self) -> None:
        self._timer.start()

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()


def _answer(answer: bytes, errors: bytes, path: Path, code: int, limits: TrialLimits) -> TriedStrategy:
    if not answer:
        last = errors.decode(errors="replace").strip().rpartition("\n")[2] or f"its process ended with code {code}"
        raise StrategyError(
            f"{path} cannot be loaded within {limits.memory_bytes / 2**20:,.0f} MiB and {limits.seconds:g} s: {last}"
        )
    found = json.loads(answer)
    if isinstance(found, str):
        raise StrategyError(found)
    return msgspec.convert(found, TriedStrategy)


# --- in the process


def _main() -> None:
    answers = os.fdopen(os.dup(1), "wb")
    # The file's own output must not mix with the answer.
    os.dup2(2, 1)
    answers.write(_READY)
    answers.flush()
    task = json.loads(sys.stdin.buffer.read())
    resource.setrlimit(resource.RLIMIT_DATA, (task["memory_bytes"], task["memory_bytes"]))
    # If the parent dies meanwhile, nothing else ends this process.
    seconds = int(task["seconds"]) + 2
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    answers.write(json.dumps(_outcome(task)).encode())
    answers.flush()
    # Exit handlers that the file registered are not run.
    os._exit(0)


def _outcome(task: dict[str, Any]) -> object:
    """Return the file's definitions, or the reason why it cannot be used."""
    code = base64.b64decode(task["code"])
    try:
        cls = load_source(code, Path(task["path"])).cls
        if task["parameters"] is not None:
            made = make_strategy(cls, task["parameters"])
            # Here only whether they end is checked; their errors are reported where they are computed.
            with contextlib.suppress(BaseException):
                made.features(), made.target()
        return msgspec.to_builtins(
            TriedStrategy(
                class_name=cls.__name__,
                description=inspect.getdoc(cls) or "",
                sha256=hashlib.sha256(code).hexdigest(),
                parameters=cls.model_json_schema(),
            )
        )
    except StrategyError as error:
        return str(error)
    except MemoryError:
        return f"{task['path']} needs more than {task['memory_bytes'] / 2**20:,.0f} MiB to load"


if __name__ == "__main__":
    _main()
