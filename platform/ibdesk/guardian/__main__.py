"""The guardian's process: ``python -m ibdesk.guardian``. It receives its settings through a pipe."""

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
from ibdesk.guardian.terminal import Terminal, TerminalHandler
from ibdesk.guardian.watch import Watch
from ibdesk.telemetry.systemd import notify_systemd

# The longest wait at the end for lines that a terminal has not taken yet.
_LAST_WORDS_SECONDS = 1.0


def main(arguments: list[str]) -> int:
    """Watch until SIGTERM or Ctrl-C, and return the exit code.

    Without settings it starts ``ibdesk guardian``, which reads them and then starts this process again.
    """
    if not arguments or arguments[0] != SETTINGS:
        os.execv(sys.executable, [sys.executable, "-m", "ibdesk.cli", "guardian", *arguments])  # noqa: S606
    with os.fdopen(int(arguments[1]), "rb") as pipe:
        config = GuardianConfig.decode(pipe.read())
    # A missing standard stream is None, and its number may belong to another file by now.
    output = Terminal(None if sys.stdout is None else sys.stdout.fileno())
    errors = Terminal(None if sys.stderr is None else sys.stderr.fileno())
    logging.basicConfig(level=logging.WARNING, format="%(message)s", handlers=[TerminalHandler(errors)])
    record = Record(config.log, config.memory, say=lambda text: errors.say(f"GUARDIAN: {text}"))
    try:
        return asyncio.run(_run(config, record, output, ends_with_stdin=END_WITH_STDIN in arguments[2:]))
    except ConfigError as error:
        errors.say(f"error: {error}")
        return 2
    finally:
        record.close()
        output.close(seconds=_LAST_WORDS_SECONDS)
        errors.close(seconds=_LAST_WORDS_SECONDS)


async def _run(config: GuardianConfig, record: Record, output: Terminal, *, ends_with_stdin: bool) -> int:
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None  # noqa: S101 - for the type checker: `run` is a coroutine of a task
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, task.cancel)
    if ends_with_stdin:
        loop.add_reader(sys.stdin.fileno(), _end_at_end_of_input, task)
    watch = Watch(config, record)
    with contextlib.suppress(asyncio.CancelledError):
        await watch.run(ready=lambda: _say_ready(config, output))
    return 0


def _say_ready(config: GuardianConfig, output: Terminal) -> None:
    notify_systemd("READY=1")
    # The parent waits for this line.
    output.say(str(config.command_socket))


def _end_at_end_of_input(task: asyncio.Task[object]) -> None:
    if not os.read(sys.stdin.fileno(), 4096):
        asyncio.get_running_loop().remove_reader(sys.stdin.fileno())
        task.cancel()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
