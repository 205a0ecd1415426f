"""A desk in a child process, which computations in this process cannot delay.

``python -m ibdesk.desk.process`` is that child: it reads its settings from standard input, answers with one line
whether it is open, and ends when standard input is closed.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import json
import signal
import sys
import tempfile
from pathlib import Path
from typing import Any, Self

from pydantic import SecretStr

from ibdesk.desk.attached import AttachedDesk
from ibdesk.desk.child import ChildProcess, end_with_parent
from ibdesk.desk.handle import DeskState
from ibdesk.desk.loop import spare_from_collection
from ibdesk.desk.port.addresses import SocketAddress
from ibdesk.desk.port.host import PortHost
from ibdesk.desk.port.socket_transport import SocketTransport
from ibdesk.desk.port.values import error_of, facts_of
from ibdesk.desk.settings import DeskSettings
from ibdesk.errors import IbdeskError

# Time for a TWS that does not answer, and for the import of all libraries on a busy machine.
_START_SECONDS = 120.0


class ProcessDesk(AttachedDesk):
    """A handle on a desk in a child of this process, made by ``Desk.open(..., process=True)``; closing it ends both."""

    @classmethod
    def spawn(cls, settings: DeskSettings) -> Self:
        """Open a desk in a child process and return the handle on it once it is connected and reconciled.

        Raises:
            IbdeskError: Any error of opening the desk there.
            ChildError: If the process does not start.
        """
        # Its own folder: the path must be short and not another desk's.
        folder = tempfile.TemporaryDirectory(prefix="ibdesk-")
        address = SocketAddress(Path(folder.name) / "desk.sock")
        child = ChildProcess("the desk's process", __name__, [])
        try:
            child.tell(json.dumps({"address": str(address.path), "settings": _plain(settings.model_dump())}))
            answer = json.loads(child.until_ready(_START_SECONDS))
            if answer is not None:
                raise error_of(answer["error"], answer["facts"], answer["text"])
            desk = cls(address, settings)
            desk._child, desk._folder, desk.settings = child, folder, settings
            desk._attach(_START_SECONDS)
        except BaseException:
            child.close()
            folder.cleanup()
            raise
        atexit.register(desk.close)
        return desk

    settings: DeskSettings
    _child: ChildProcess | None = None
    _folder: tempfile.TemporaryDirectory[str] | None = None

    @property
    def pid(self) -> int:
        """Return the id of the desk's process."""
        assert self._child is not None  # noqa: S101 - `spawn` makes it
        return self._child.pid

    @property
    def is_open(self) -> bool:
        """Whether its process runs and is not closed."""
        return self.state not in (DeskState.CLOSED, DeskState.FAILED) and bool(self._child and self._child.running)

    @property
    def account_id(self) -> str:
        """Return the traded account."""
        return self.health().account

    def close(self) -> None:
        """Close the desk and end its process; a second call does nothing."""
        atexit.unregister(self.close)
        super().close()
        if self._child is not None:
            self._child.close()
        if self._folder is not None:
            self._folder.cleanup()


def _plain(value: Any) -> Any:
    """Return settings as JSON values, with secrets in clear text: they go through a pipe to our own child."""
    match value:
        case dict():
            return {name: _plain(item) for name, item in value.items()}
        case list() | tuple():
            return [_plain(item) for item in value]
        case SecretStr():
            return value.get_secret_value()
        case Path():
            return str(value)
    return value


def _main() -> int:
    told = json.loads(sys.stdin.readline())
    with contextlib.suppress(KeyboardInterrupt):
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        end_with_parent()
        return _run(DeskSettings(**told["settings"]), Path(told["address"]))
    return 0


def _run(settings: DeskSettings, path: Path) -> int:
    from ibdesk.desk.desk import Desk

    try:
        desk = Desk.open(settings)
    except IbdeskError as error:
        _say({"error": type(error).__name__, "facts": facts_of(error), "text": str(error)})
        return 1
    with desk:
        spare_from_collection()
        asyncio.run(_serve(desk, path))
    return 1 if desk.state is DeskState.FAILED else 0


async def _serve(desk: Any, path: Path) -> None:
    host = PortHost(desk, desk.feed, SocketTransport(path))
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    tasks = [asyncio.create_task(work) for work in (host.run(), desk.until_ended(), stop.wait(), _announce(host))]
    done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    for task in done:
        task.result()


async def _announce(host: PortHost) -> None:
    await host.answering.wait()
    _say(None)
    await asyncio.Event().wait()


def _say(answer: object) -> None:
    sys.stdout.write(f"{json.dumps(answer)}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(_main())
