"""How the desk is watched from outside: what one request caused, logs, how long things take, what runs."""

from ibdesk.telemetry.trace import correlated, correlation_id, new_correlation_id

__all__ = ["correlated", "correlation_id", "new_correlation_id"]
