"""The command line: what a person types, and what is said when it cannot be done."""

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
"""It was asked for in the right way and went wrong."""
WRONG = 2
"""What was typed, or a file that it names, cannot be used."""
INTERRUPTED = 130
"""Ctrl-C came before it was up; what shells report of programs that Ctrl-C ended."""

_WRONG = (AddressInUseError, ConfigError, DataError, InstrumentError, JournalError, StrategyError)
# These are the kinds above by descent, and yet what they tell came out of running.
_FAILED = (DecisionError, LookAheadError, ReplayMismatchError)

# Which extra of the package brings a library that only some commands need.
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
    """Do what the arguments (by default the program's own) say, and return the exit code.

    0 when it is done, also when Ctrl-C ended what runs until then; else `FAILED`, `WRONG` or `INTERRUPTED`, and one
    sentence on standard error. Only a fault of ibdesk itself, and ``--debug``, show a traceback.
    """
    common = Common()
    try:
        with on_stop_signals(interrupt):
            from ibdesk.cli.app import run

            return run(sys.argv[1:] if arguments is None else arguments, common)
    except KeyboardInterrupt:
        return _told("stopped before it was up", INTERRUPTED)
    except IbdeskError as error:
        return _told(str(error), exit_code(type(error)), shows_trace=common.debug)
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        extra = _EXTRAS.get(package)
        if extra is None:
            return _told_of_a_fault()
        sentence = f"this needs the package {package}, which is not installed: pip install 'ibdesk[{extra}]'"
        return _told(sentence, WRONG, shows_trace=common.debug)
    except Exception:  # noqa: BLE001 - the last stop: whatever it is, it is shown in full
        return _told_of_a_fault()


def exit_code(error: type[IbdeskError]) -> int:
    """Return `WRONG` for what a person must ask differently, `FAILED` for what went wrong on the way."""
    return WRONG if issubclass(error, _WRONG) and not issubclass(error, _FAILED) else FAILED


def _told(sentence: str, code: int, *, shows_trace: bool = False) -> int:
    if shows_trace:
        traceback.print_exc()
    sys.stderr.write(f"ibdesk: {sentence}\n")
    return code


def _told_of_a_fault() -> int:
    return _told("this is a fault of ibdesk: please report it with the lines above", FAILED, shows_trace=True)
