"""Redis, for a desk of several processes or machines: pool, streams, settings and health.

Only settings, errors and figures are here; `ibdesk.store.redis.pool` and `ibdesk.store.redis.stream` import the client
library, which comes with the extra ``server``.
"""

from ibdesk.store.redis.errors import RedisError
from ibdesk.store.redis.health import Circuit, RedisHealth
from ibdesk.store.redis.settings import RedisSettings

__all__ = ["Circuit", "RedisError", "RedisHealth", "RedisSettings"]
