"""How the desk is watched from outside: what one request caused, logs, how long things take, what runs."""

from typing import TYPE_CHECKING

from ibdesk.lazy import at_first_use

if TYPE_CHECKING:
    from ibdesk.telemetry.logs import Logs
    from ibdesk.telemetry.masking import secrets_in
    from ibdesk.telemetry.performance import Performance, Span, SpanSummary, track_performance
    from ibdesk.telemetry.process_vitals import Vitals, measure_lag, vitals
    from ibdesk.telemetry.settings import LogSettings, PerformanceSettings
    from ibdesk.telemetry.supervision import NEVER_RESTART, Policy, Supervisor, TaskInfo
    from ibdesk.telemetry.trace import correlated, correlation_id, new_correlation_id

__all__ = [
    "NEVER_RESTART",
    "LogSettings",
    "Logs",
    "Performance",
    "PerformanceSettings",
    "Policy",
    "Span",
    "SpanSummary",
    "Supervisor",
    "TaskInfo",
    "Vitals",
    "correlated",
    "correlation_id",
    "measure_lag",
    "new_correlation_id",
    "secrets_in",
    "track_performance",
    "vitals",
]

__getattr__, __dir__ = at_first_use(__name__, __file__)
