"""A reader of a page: the folder, names, server and ports with which the blocks of the page are run."""

from __future__ import annotations

import ast
import asyncio
import contextlib
import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.docs.console import Console, steps_of
from tests.docs.pages import ROOT, Block
from tests.ports import free_port

from ibdesk.desk import AioDesk, Desk
from ibdesk_server.serve import WebServer
from ibdesk_server.settings import ServerSettings, Settings

# Ports that pages name and that another test may have.
PORTS = ("7497", "8000", "5006", "7400")


class Serving:
    """A server of a desk on a thread of its own."""

    def __init__(self, desk: Desk, settings: Settings) -> None:
        self._answering = threading.Event()
        self._stop: Callable[[], object] = lambda: None
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run(desk, settings)))
        self._thread.start()
        assert self._answering.wait(60)

    async def _run(self, desk: Desk, settings: Settings) -> None:
        server = WebServer(desk, settings)
        running = asyncio.create_task(server.run())
        await server.until_answering()
        loop = asyncio.get_running_loop()
        self._stop = lambda: loop.call_soon_threadsafe(running.cancel)
        self._answering.set()
        await asyncio.wait({running})

    def stop(self) -> None:
        self._stop()
        self._thread.join()


class Reader:
    """Types the blocks of one page, in their order and with the names of the blocks before."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._names: dict[str, Any] = {"__name__": "page"}
        self._ports = {port: str(free_port()) for port in PORTS}
        self._ending = contextlib.ExitStack()
        self._console: Console | None = None
        for name in ("strategies", "notebooks"):
            shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))

    @property
    def environment(self) -> dict[str, str]:
        """The environment of the page's programs: folders and ports that no other test has, and a fast market."""
        return {
            "HOME": str(self.folder),
            "IBDESK_STATE_FOLDER": str(self.folder / "state"),
            "IBDESK_ACCOUNTS": str(self.folder / "accounts"),
            "IBDESK_GATEWAY__SPEED": "20",
            "IBDESK_GATEWAY__PORT": "0",
            "IBDESK_TWS__PORT": self._ports["7497"],
            "IBDESK_SERVER__PORT": self._ports["8000"],
            "IBDESK_DASHBOARD__PORT": self._ports["5006"],
        }

    def read(self, block: Block) -> None:
        """Run a block as its language says."""
        text = re.sub(rf"(?<![\d.])({'|'.join(PORTS)})(?!\d)", lambda found: self._ports[found[0]], block.text)
        if saved := re.match(r"# (\S+\.py)\n", text):
            (self.folder / saved[1]).write_text(text, encoding="utf-8")
        if block.language == "console":
            if self._console is None:
                self._console = Console(self.folder, self.environment)
                self._ending.callback(self._console.end)
            for step in steps_of(text):
                self._console.type(step)
        elif block.language == "python" and re.search(r"^(async )?def test_", text, re.MULTILINE):
            self._run_tests(block, text)
        else:
            self._run(block, text)

    def _run(self, block: Block, text: str) -> None:
        """Run Python in the names of the page; it may await, as in a notebook."""
        code = compile("\n" * block.line + text, str(block.page), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        self._provide(ast.parse(text))
        if code.co_flags & 0x80:  # a coroutine

            async def work() -> None:
                async with asyncio.timeout(60):
                    await eval(code, self._names)

            asyncio.run(work())
        else:
            exec(code, self._names)

    def _provide(self, tree: ast.Module) -> None:
        """Give a block the names that its page takes for granted: `desk`, and `key` of the desk's server."""
        used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)}
        made = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
        missing = used - made - self._names.keys()
        if missing & {"desk", "key"} or "key" in used - self._names.keys():
            if "desk" not in self._names:
                self._names["desk"] = self._ending.enter_context(Desk.open("embedded"))
            if "key" in missing:
                self._serve(self._names["desk"])

    def _serve(self, desk: Desk) -> None:
        key_file, port = self.folder / "api.key", int(self._ports["8000"])
        server = ServerSettings(port=port, key_file=key_file, strategies=ROOT / "strategies")
        serving = Serving(desk, Settings(state_folder=self.folder, server=server))
        self._ending.callback(serving.stop)
        self._names["key"] = key_file.read_text(encoding="utf-8").strip()

    def _run_tests(self, block: Block, text: str) -> None:
        """Run a block that holds tests with pytest, in a file of its own."""
        file = self.folder / f"test_line_{block.line}.py"
        file.write_text(text, encoding="utf-8")
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", "--rootdir", ".", file],
            cwd=self.folder,
            env={**os.environ, **self.environment},
            capture_output=True,
            text=True,
            timeout=180,
            check=False,
        )
        assert done.returncode == 0, f"{block.place}\n{done.stdout}"

    def close(self) -> None:
        """Close the desks and end the processes that the page has opened."""
        self._ending.close()
        for value in list(self._names.values()):
            if isinstance(value, Desk) and not isinstance(value, AioDesk):
                value.close()
