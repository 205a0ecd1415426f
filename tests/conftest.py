"""What tests of all rooms share: servers that others wrote."""

from __future__ import annotations

import contextlib
import gc
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from tests.redis_server import RedisServer

from ibdesk.desk.loop import spare_from_collection

MakeRedisServer = Callable[..., RedisServer]

_TESTS = Path(__file__).parent

# `make quick` tries fewer examples of each law.
settings.register_profile("quick", parent=settings.get_profile("ci"), max_examples=10)

# Folders in which every test drives processes, servers or gateways; elsewhere a module or a test is marked by itself.
_PROCESS_FOLDERS = frozenset(
    {
        "dashboard", "deploy", "desk", "docs", "e2e", "gateway", "guardian", "load", "notebook", "processes",
        "promises", "server", "simulation", "testing", "tws",
    }
)  # fmt: skip
# Fixtures that start something beside the test.
_PROCESS_FIXTURES = frozenset({"home", "make_redis_server", "make_stack", "redis_server"})


def pytest_configure() -> None:
    """Keep the settings of who runs the tests out of them, here and in every process that is started here."""
    for name in list(os.environ):
        if name.startswith("IBDESK_") and ("__" in name or name in {"IBDESK_MODE", "IBDESK_STATE_FOLDER"}):
            del os.environ[name]
    os.environ["IBDESK_CONFIG"] = ""
    # Tests run at any hour, and beside gateways whose clock runs faster than the wall's.
    os.environ["IBDESK_TWS__CALENDAR__REGION"] = "none"
    os.environ["IBDESK_TWS__MAX_CLOCK_DRIFT_SECONDS"] = "inf"
    os.environ["IBDESK_ACCOUNTS"] = tempfile.mkdtemp(prefix="ibdesk-accounts-")


def pytest_unconfigure() -> None:
    """Remove what the tests have kept of their accounts."""
    shutil.rmtree(os.environ["IBDESK_ACCOUNTS"], ignore_errors=True)


@pytest.fixture(autouse=True)
def accounts_of_this_test(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Halts belong to an account, and most tests trade the same one: each gets its own folder for them."""
    name = hashlib.sha256(request.node.nodeid.encode()).hexdigest()[:16]
    monkeypatch.setenv("IBDESK_ACCOUNTS", f"{os.environ['IBDESK_ACCOUNTS']}/{name}")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what drives processes or a browser by its folder and its fixtures."""
    for item in items:
        fixtures = set(getattr(item, "fixturenames", ()))
        if item.path.relative_to(_TESTS).parts[0] in _PROCESS_FOLDERS or fixtures & _PROCESS_FIXTURES:
            item.add_marker(pytest.mark.process)
        if "browser" in fixtures:
            item.add_marker(pytest.mark.browser)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Collect no garbage while tests are found, nor look through those afterwards: it would stop all for a second."""
    gc.disable()
    try:
        return (yield)
    finally:
        spare_from_collection()
        gc.enable()


def pytest_xdist_auto_num_workers() -> int:
    """Have three workers for two processors: a test waits half of its time for processes that it has started."""
    return max(2, len(os.sched_getaffinity(0)) * 3 // 2)


@pytest.fixture
def make_redis_server() -> Iterator[MakeRedisServer]:
    """Starts redis-servers, each empty and on its own addresses: `make_redis_server(password="...")`."""
    with contextlib.ExitStack() as running:
        yield lambda **options: running.enter_context(RedisServer(**options))


@pytest.fixture
def redis_server(make_redis_server: MakeRedisServer) -> RedisServer:
    """An empty redis-server for this test alone, at `url` and `socket_url`; it can be stopped, stalled, restarted."""
    return make_redis_server()
