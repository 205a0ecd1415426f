"""The command line: runs a command and reports errors in one sentence."""

from __future__ import annotations

import sys
import traceback

from ibdesk.cli.common import Common
from ibdesk.cli.interrupt import interrupt, on_stop_signals
from ibdesk.errors import (
    AddressInUseError,
    ConfigError,
    DataError,
    DecisionError,
    IbdeskError,
    InstrumentError,
    JournalError,
    LookAheadError,
    ReplayMismatchError,
    StrategyError,
)

FAILED = 1
"""The command was valid and failed."""
WRONG = 2
"""The command, or a file that it names, cannot be used."""
INTERRUPTED = 130
"""Ctrl-C came before start-up was complete; shells report this code for programs that Ctrl-C ended."""

_WRONG = (AddressInUseError, ConfigError, DataError, InstrumentError, JournalError, StrategyError)
# Subclasses of the errors above that are raised while a command runs.
_FAILED = (DecisionError, LookAheadError, ReplayMismatchError)

# The extra of the package that installs a library which only some commands need.
_EXTRAS = {
    "argon2": "server",
    "bokeh": "research",
    "bokeh_sampledata": "research",
    "fastapi": "server",
    "httpx": "server",
    "jwt": "server",
    "limits": "server",
    "msgpack": "server",
    "panel": "dashboard",
    "prometheus_client": "server",
    "purgatory": "server",
    "redis": "server",
    "starlette": "server",
    "uvicorn": "server",
    "websockets": "server",
}


def main(arguments: list[str] | None = None) -> int:
    """Run the command that the arguments (by default `sys.argv`) name, and return the exit code.

    The code is 0 on success, also when Ctrl-C ended a command that runs until Ctrl-C. Otherwise it is `FAILED`,
    `WRONG` or `INTERRUPTED`, with one sentence on standard error. Only a bug in ibdesk and ``--debug`` show a
    traceback.
    """
    common = Common()
    try:
        with on_stop_signals(interrupt):
            from ibdesk.cli.app import run

            return run(sys.argv[1:] if arguments is None else arguments, common)
    except KeyboardInterrupt:
        return _told("stopped before start-up was complete", INTERRUPTED)
    except IbdeskError as error:
        return _told(str(error), exit_code(type(error)), shows_trace=common.debug)
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        extra = _EXTRAS.get(package)
        if extra is None:
            return _told_of_a_fault()
        sentence = f"this command needs the package {package}, which is not installed: pip install 'ibdesk[{extra}]'"
        return _told(sentence, WRONG, shows_trace=common.debug)
    except Exception:  # noqa: BLE001 - the outermost handler shows any error in full
        return _told_of_a_fault()


def exit_code(error: type[IbdeskError]) -> int:
    """Return `WRONG` for an error in the command or its files, `FAILED` for an error while it ran."""
    return WRONG if issubclass(error, _WRONG) and not issubclass(error, _FAILED) else FAILED


def _told(sentence: str, code: int, *, shows_trace: bool = False) -> int:
    if shows_trace:
        traceback.print_exc()
    sys.stderr.write(f"ibdesk: {sentence}\n")
    return code


def _told_of_a_fault() -> int:
    return _told("this is a bug in ibdesk: please report it with the lines above", FAILED, shows_trace=True)
