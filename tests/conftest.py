"""What tests of all rooms share: servers that others wrote."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

import pytest
from tests.redis_server import RedisServer

MakeRedisServer = Callable[..., RedisServer]


@pytest.fixture
def make_redis_server() -> Iterator[MakeRedisServer]:
    """Starts redis-servers, each empty and on its own addresses: `make_redis_server(password="...")`."""
    with contextlib.ExitStack() as running:
        yield lambda **options: running.enter_context(RedisServer(**options))


@pytest.fixture
def redis_server(make_redis_server: MakeRedisServer) -> RedisServer:
    """An empty redis-server for this test alone, at `url` and `socket_url`; it can be stopped, stalled, restarted."""
    return make_redis_server()
