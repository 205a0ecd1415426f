"""The Redis server of other tests does what they rely on."""

from __future__ import annotations

import pytest
from redis import Redis, exceptions
from tests.conftest import MakeRedisServer
from tests.redis_server import RedisServer


def test_a_server_is_killed_and_comes_back_empty_at_the_same_addresses(redis_server: RedisServer) -> None:
    clients = [Redis.from_url(url, retry=None) for url in (redis_server.url, redis_server.socket_url)]
    clients[0].set("key", "value")
    assert clients[1].get("key") == b"value"

    redis_server.stop()
    for client in clients:
        with pytest.raises(exceptions.ConnectionError):
            client.ping()
    redis_server.start()

    assert [client.get("key") for client in clients] == [None, None]
    for client in clients:
        client.close()


def test_a_stalled_server_answers_nothing_until_it_goes_on(redis_server: RedisServer) -> None:
    client = Redis.from_url(redis_server.url, retry=None, socket_timeout=0.1)
    client.set("key", "value")

    redis_server.stall()
    with pytest.raises(exceptions.TimeoutError):
        client.get("key")
    redis_server.resume()

    assert client.get("key") == b"value"
    client.close()


def test_a_server_with_a_password_lets_nobody_else_in(make_redis_server: MakeRedisServer) -> None:
    server = make_redis_server(password="for-this-test")

    with Redis.from_url(server.url, retry=None) as client:
        assert client.ping()
    with (
        Redis.from_url(f"redis://127.0.0.1:{server.port}", retry=None) as stranger,
        pytest.raises(exceptions.AuthenticationError),
    ):
        stranger.ping()
