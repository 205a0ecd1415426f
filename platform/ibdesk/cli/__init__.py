"""The command line: what a person types, and what is said when it cannot be done."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path

from ibdesk.errors import IbdeskError

# Which extra of the package brings a library that only some commands need.
_EXTRAS = {
    "bokeh": "research",
    "bokeh_sampledata": "research",
    "fastapi": "server",
    "httpx": "server",
    "msgpack": "server",
    "panel": "dashboard",
    "prometheus_client": "server",
    "starlette": "server",
    "uvicorn": "server",
    "websockets": "server",
}
# What a shell reports of a program that Ctrl-C ended.
_INTERRUPTED = 130


def main(arguments: list[str] | None = None) -> int:
    """Do what the arguments (by default the program's own) say and return the exit code.

    0: done, or ended by Ctrl-C once it was running; 1: it went wrong on the way; 2: what was asked for cannot be
    done as it was asked; 130: Ctrl-C before it was running.
    """
    from ibdesk.cli.app import Common, run
    from ibdesk.cli.interrupt import interrupt, on_stop_signals

    common = Common()
    with on_stop_signals(interrupt):
        try:
            return run(sys.argv[1:] if arguments is None else arguments, common)
        except KeyboardInterrupt:
            _complain("stopped")
            return _INTERRUPTED
        except BrokenPipeError:
            return _reader_left()
        except ModuleNotFoundError as error:
            extra = _EXTRAS.get((error.name or "").partition(".")[0])
            if extra is None or common.debug:
                raise
            _complain(f"this needs {error.name}, which is not installed: pip install 'ibdesk[{extra}]'")
            return 2
        except IbdeskError as error:
            if common.debug:
                raise
            from ibdesk.cli.exit_code import exit_code

            _complain(str(error))
            return exit_code(error)
        except Exception:
            with _afterwards("this is a fault in ibdesk, not in what you did: please report it with the lines above"):
                raise


def _complain(sentence: str) -> None:
    sys.stderr.write(f"ibdesk: {sentence}\n")
