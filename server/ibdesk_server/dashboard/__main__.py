"""``python -m ibdesk_server.dashboard``: the dashboard as a separate process."""

from __future__ import annotations

import argparse
import asyncio
import sys
from pathlib import Path

from ibdesk.desk.child import end_with_parent
from ibdesk.errors import IbdeskError
from ibdesk.telemetry import Logs, secrets_in
from ibdesk_server.dashboard.running import read_machine_key, run_dashboard
from ibdesk_server.settings import Settings


def main() -> int:
    """Serve until a signal or, with ``--end-with-stdin``, until the parent process ends; return the exit code."""
    arguments = _parser().parse_args()
    try:
        with _log(is_child=arguments.end_with_stdin):
            asyncio.run(_run(arguments))
    except IbdeskError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    except KeyboardInterrupt:
        return 0
    return 0


async def _run(arguments: argparse.Namespace) -> None:
    if arguments.end_with_stdin:
        end_with_parent()
    # The imports take seconds; a wrong key file is reported before them.
    key = read_machine_key(arguments.key_file)

    def ready(address: str) -> None:
        # A login is for the process that has started this one, or for a person: it must not end up in a file.
        is_kept = not (arguments.end_with_stdin or sys.stdout.isatty())
        sys.stdout.write(f"{address.partition('?')[0] if is_kept else address}\n")
        sys.stdout.flush()

    await run_dashboard(
        feed=arguments.feed,
        key=key,
        port=arguments.port,
        names=arguments.name,
        state_folder=arguments.key_file.parent,
        path_prefix=arguments.path_prefix,
        ready=ready,
    )


def _log(*, is_child: bool) -> Logs:
    """Start the log of this process; a child logs only to its file."""
    settings = Settings.load()
    log = settings.log
    if is_child and log.file:
        log = log.model_copy(update={"stderr_level": "critical"})
    return Logs.set_up("dashboard", log, state_folder=settings.state_folder, secrets=secrets_in(settings))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m ibdesk_server.dashboard",
        description="Show a desk in the browser. Prints the address to open; it logs in once.",
    )
    parser.add_argument("--feed", default="ws://127.0.0.1:8000/feed", help="address of the server's feed")
    parser.add_argument("--port", type=int, default=5006, help="port to listen on; 0 takes any free one")
    parser.add_argument("--key-file", type=Path, default=Settings().server.key_file, help="a key for the feed")
    parser.add_argument("--name", action="append", default=[], help="a host name under which browsers reach it")
    parser.add_argument("--path-prefix", default="", help="prefix of all paths, behind a proxy")
    parser.add_argument("--end-with-stdin", action="store_true", help="end when standard input closes")
    return parser


if __name__ == "__main__":
    sys.exit(main())
