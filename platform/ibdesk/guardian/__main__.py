"""The guardian's process: ``python -m ibdesk.guardian``. It is told its settings through a pipe and loads none."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import sys

from ibdesk.errors import ConfigError
from ibdesk.guardian.config import GuardianConfig
from ibdesk.guardian.launch import END_WITH_STDIN, SETTINGS
from ibdesk.guardian.record import Record
from ibdesk.guardian.watch import Watch
from ibdesk.telemetry.systemd import notify_systemd


def main(arguments: list[str]) -> int:
    """Watch until SIGTERM or Ctrl-C; return the exit code.

    Without settings it starts ``ibdesk guardian``, which reads them and comes back here.
    """
    if not arguments or arguments[0] != SETTINGS:
        os.execv(sys.executable, [sys.executable, "-m", "ibdesk.cli", "guardian", *arguments])  # noqa: S606
    with os.fdopen(int(arguments[1]), "rb") as pipe:
        config = GuardianConfig.decode(pipe.read())
    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stderr)
    record = Record(config.log, config.memory)
    try:
        return asyncio.run(_run(config, record, ends_with_stdin=END_WITH_STDIN in arguments[2:]))
    except ConfigError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    finally:
        record.close()


async def _run(config: GuardianConfig, record: Record, *, ends_with_stdin: bool) -> int:
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None  # noqa: S101 - for the type checker: a coroutine of `run` has one
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, task.cancel)
    if ends_with_stdin:
        loop.add_reader(sys.stdin.fileno(), _end_at_end_of_input, task)
    watch = Watch(config, record)
    with contextlib.suppress(asyncio.CancelledError):
        await watch.run(ready=lambda: _say_ready(config))
    return 0


def _say_ready(config: GuardianConfig) -> None:
    notify_systemd("READY=1")
    print(config.command_socket, flush=True)  # noqa: T201 - the line a parent waits for


def _end_at_end_of_input(task: asyncio.Task[object]) -> None:
    if not os.read(sys.stdin.fileno(), 4096):
        asyncio.get_running_loop().remove_reader(sys.stdin.fileno())
        task.cancel()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
