"""The very commands of the deployment files, run as local processes: all come up, are well, and end in time.

Each file is taken at its word: command, variables and checks are those that are written there. Only what a container
engine would give is given here: paths of volumes and secrets lead into the test's folder, names of other containers
to 127.0.0.1, and ports to free ones. Each process may write where its container could, and nowhere else.
"""

from __future__ import annotations

import asyncio
import functools
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from tests.deploy.dockerfile import ROOT
from tests.deploy.manifests import SYSTEMD, Check, deployed
from tests.plain_http import PLAIN
from tests.ports import free_port
from tests.stack import Program, eventually, own_environment

from ibdesk_server.client import FeedClient
from ibdesk_server.probe import ProbeError, probe

pytestmark = [
    pytest.mark.timeout(600),
    pytest.mark.skipif(shutil.which("redis-server") is None, reason="redis-server is not installed"),
]

BIN = Path(sys.executable).parent
# In this order each finds what it needs; they are ended the other way round.
ORDER = ("gateway", "redis", "engine", "guardian", "web", "dashboard")
PORTS = (7497, 6379, 8000, 5006)
HOSTS = ("gateway", "redis", "engine", "web", "watch", "api", "dashboard")
GRACE_SECONDS = 20.0
# A check is a process of its own: asked without a pause it would take the processor from what it asks for.
_CHECK_SECONDS = 0.5


class Machine:
    """What stands in for container engine or service manager: names, ports and paths, and the processes."""

    def __init__(self, folder: Path, where: str) -> None:
        self._folder = folder
        self.processes = {one.name: one for one in deployed() if one.where.startswith(where)}
        # A unit says nothing of checks; those of the container that runs the same command do.
        self.checks = {one.name: one.checks for one in deployed() if one.where == "compose.yaml"}
        self.checks |= {name: one.checks for name, one in self.processes.items() if one.checks}
        self.ports = {port: free_port() for port in PORTS}
        self.running: dict[str, Program] = {}
        for name in ("volumes", "tmp", "data"):
            (folder / name).mkdir()
        secrets = Program(
            [sys.executable, str(ROOT / "deploy" / "make_secrets.py"), str(folder / "secrets")],
            own_environment(),
            folder / "secrets.log",
        )
        assert secrets.wait() == 0, secrets.said
        url = folder / "secrets" / "redis_url"
        url.write_text(self.here(url.read_text(), name=""))
        url.chmod(0o600)

    def here(self, text: str, *, name: str) -> str:
        """The text with every name, port and path as they are on this machine, for the process of that name."""
        text = text.replace("0.0.0.0", "127.0.0.1")
        text = re.sub(r"/run/secrets(/ibdesk)?(?=/)", str(self._folder / "secrets"), text)
        text = text.replace("/var/lib", str(self._volume(name)))
        text = re.sub(rf"(?<=//)({'|'.join(HOSTS)})(?=:)|(?<=@)redis(?=:)", "127.0.0.1", text)
        for port, free in self.ports.items():
            text = re.sub(rf"\b{port}\b", str(free), text)
        return text

    def start(self, name: str, *instead: str) -> Program:
        """Start the process of this name, or another command in its place, confined as it would be."""
        one = self.processes[name]
        environment = own_environment(TMPDIR=str(self._folder / "tmp"))
        for variable, text in one.environment.items():
            if variable in {"PATH", "HOME"}:
                continue
            environment[variable] = "127.0.0.1" if text in HOSTS else self.here(text, name=name)
        environment["HOME"] = str(self._folder / "tmp")
        if environment["IBDESK_CONFIG"]:
            settings = self._folder / "ibdesk.toml"
            settings.write_text(self.here((SYSTEMD / "ibdesk.toml").read_text(), name=name))
            environment["IBDESK_CONFIG"] = str(settings)
        command = (one.command[0], *instead) if instead else one.command
        words = self._program([self.here(word, name=name) for word in command])
        confinement = ["--as-unit"] if one.where.startswith("systemd") else []
        confinement += [str(self._folder / folder) for folder in ("volumes", "tmp", "data")]
        confined = [sys.executable, str(ROOT / "tests" / "deploy" / "confined.py"), *confinement, "--", *words]
        program = Program(
            confined,
            environment,
            self._folder / f"{name if not instead else instead[0]}.log",
            cwd=self._folder / "data" if name == "redis" else ROOT,
        )
        if not instead:
            self.running[name] = program
        return program

    def is_well(self, name: str, check: Check) -> bool:
        """Whether a check of the process passes."""
        program = self.running[name]
        assert program.is_running, program.said
        if check.command:
            words = self._program([self.here(word, name=name) for word in check.command])
            asked = Program(words, own_environment(), self._folder / "checks.log")
            return asked.wait() == 0
        scheme = "http" if check.path else "tcp"
        try:
            probe(f"{scheme}://127.0.0.1:{self.ports[check.port]}{check.path}")
        except ProbeError:
            return False
        return True

    def close(self) -> None:
        """End what still runs."""
        for program in self.running.values():
            program.close()

    def until_well(self, name: str) -> None:
        """Wait until every check of a process passes."""
        for check in self.checks[name]:
            try:
                eventually(functools.partial(self.is_well, name, check), f"{check} of {name}", every=_CHECK_SECONDS)
            except AssertionError as error:
                logs = {log.stem: log.read_text()[-4_000:] for log in self._folder.glob("*.log")}
                raise AssertionError("\n".join([str(error), *(f"--- {each}\n{logs[each]}" for each in logs)])) from None

    def admit_people(self) -> None:
        """Do by the engine's container what is to be done once before the web server can start."""
        password = self._folder / "volumes" / "password"
        password.write_text("correct horse battery staple\n")
        add = self.start("engine", "users", "add", "alice", "--role", "admin", "--password-file", str(password))
        assert add.wait() == 0, add.said
        create = self.start("engine", "keys", "create", "viewer", "--role", "viewer", "--expires", "365d")
        assert create.wait() == 0, create.said
        viewer_key = self._folder / "secrets" / "viewer_key"
        viewer_key.write_text(create.said.splitlines()[-1])
        viewer_key.chmod(0o600)

    @property
    def key(self) -> str:
        """The API key of the desk."""
        return (self._volume("web") / "ibdesk" / "api.key").read_text().strip()

    @property
    def url(self) -> str:
        """Where the API is."""
        return f"http://127.0.0.1:{self.ports[8000]}"

    def _volume(self, name: str) -> Path:
        """Where the volume of a process is mounted: the gateway and Redis have their own, the desk shares one."""
        volume = self._folder / "volumes" / (name if name in {"gateway", "redis"} else "state")
        (volume / "ibdesk").mkdir(parents=True, exist_ok=True)
        return volume

    def _program(self, words: list[str]) -> list[str]:
        """The command with its program as it is installed here."""
        program, *rest = words
        if program == "redis-server":
            rest += ["--port", str(self.ports[6379]), "--bind", "127.0.0.1"]
        elif program == "redis-cli":
            rest = ["-p", str(self.ports[6379]), *rest]
        own = {"ibdesk": str(BIN / "ibdesk"), "python": sys.executable}
        return [own.get(program, program), *rest]


@pytest.fixture
def machine(request: pytest.FixtureRequest) -> Iterator[Machine]:
    # A test's own folder has a long name, and the system allows the path of a socket 107 bytes.
    with tempfile.TemporaryDirectory(prefix="ibdesk-") as folder:
        machine = Machine(Path(folder), request.param)
        yield machine
        machine.close()


async def first_quotes(machine: Machine) -> int:
    """Follow the feed until it has told the account, and return how many topics have had a snapshot by then."""
    topics = set()
    async with asyncio.timeout(60), FeedClient(f"ws{machine.url.removeprefix('http')}/feed", machine.key) as feed:
        async for message in feed:
            topics.add(message.topic)
            if feed.tables["account"].rows and feed.tables["link"].rows:
                break
    return len(topics)


@pytest.mark.parametrize("machine", ["compose.yaml", "kubernetes", "systemd"], indirect=True)
def test_every_process_comes_up_is_well_and_ends_in_time(machine: Machine) -> None:
    names = [name for name in ORDER if name in machine.processes]

    for name in names:
        if name == "web":
            machine.admit_people()
        machine.start(name)
        machine.until_well(name)

    with httpx.Client(base_url=machine.url, headers={"X-API-Key": machine.key}, **PLAIN) as api:
        assert api.get("/health/ready").json()["status"] == "ready"
        assert api.get("/api/v1/account").json()["id"].startswith("DU")
    assert asyncio.run(first_quotes(machine)) >= 2
    page = httpx.get(f"http://127.0.0.1:{machine.ports[5006]}/", **PLAIN, follow_redirects=True)
    assert "ibdesk" in page.text
    for name in reversed(names):
        assert (name, machine.running[name].stop(seconds=GRACE_SECONDS)) == (name, 0), machine.running[name].said
