"""Metrics collected on request: desk, processes and background tasks."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from ibdesk.desk import DeskHealth
from ibdesk.model import Link
from ibdesk.store.lease_health import LeaseHealth, LeaseState
from ibdesk.store.redis import RedisHealth
from ibdesk.telemetry import Span, TaskInfo, Vitals
from ibdesk.telemetry.histogram import Counts
from ibdesk_server.observability.families import histogram_family
from ibdesk_server.observability.trail import AuditTrail


def desk_families(health: DeskHealth | None) -> Iterator[Metric]:
    """Yield the desk's metrics; for a desk that cannot be reached, only that it is down."""
    yield GaugeMetricFamily("ibdesk_desk_attached", "Whether the desk answers", value=health is not None)
    if health is None:
        yield GaugeMetricFamily("ibdesk_link_up", "Whether orders can be sent", value=0)
        return
    yield GaugeMetricFamily("ibdesk_link_up", "Whether orders can be sent", value=health.link is Link.UP)
    yield GaugeMetricFamily("ibdesk_halted", "Whether trading is halted", value=bool(health.halted))
    yield GaugeMetricFamily("ibdesk_uptime_seconds", "Time since the desk was opened", value=health.uptime_seconds)
    yield CounterMetricFamily("ibdesk_events", "Events processed by the engine", value=health.events)
    yield CounterMetricFamily("ibdesk_orders", "Orders created", value=health.orders)
    yield CounterMetricFamily("ibdesk_fills", "Fills booked", value=health.fills)
    yield GaugeMetricFamily("ibdesk_open_orders", "Open orders", value=health.open_orders)
    yield GaugeMetricFamily("ibdesk_runs", "Strategies that are running", value=health.running)
    # One session with TWS, shared by all strategies.
    connected = health.link in (Link.UP, Link.SYNCING)
    yield GaugeMetricFamily("ibdesk_tws_connections", "Sessions with TWS", value=connected)
    yield CounterMetricFamily("ibdesk_tws_messages", "Messages sent to TWS", value=health.messages_sent)
    yield GaugeMetricFamily("ibdesk_tws_waiting", "Messages waiting to be sent to TWS", value=health.messages_waiting)
    yield GaugeMetricFamily(
        "ibdesk_book_differences", "Differences between books and account", value=health.differences
    )
    yield GaugeMetricFamily(
        "ibdesk_books_compared_timestamp_seconds",
        "Time of the last comparison of books and account",
        value=health.compared_ns / 1e9,
    )
    if health.clock_drift_seconds is not None:
        drift = health.clock_drift_seconds
        yield GaugeMetricFamily(
            "ibdesk_clock_drift_seconds", "Time by which this machine's clock is ahead of TWS's", value=drift
        )
    if health.window is not None:
        begins = health.window.guard_ns / 1e9
        yield GaugeMetricFamily(
            "ibdesk_next_window_timestamp_seconds",
            "Clock difference beyond which no opening order is sent",
            value=begins,
        )
    yield CounterMetricFamily("ibdesk_reconnects", "Reconnections of the link to TWS", value=health.reconnects)


def span_families(spans: dict[str, dict[str, Span]]) -> Iterator[Metric]:
    """Yield the durations of steps, by process."""
    counts: dict[tuple[str, ...], Counts] = {
        (process, name): span.counts for process, found in spans.items() for name, span in found.items()
    }
    yield histogram_family("ibdesk_span_seconds", "Duration of a step", ["process", "span"], counts)
    slow = CounterMetricFamily(
        "ibdesk_span_slow", "Steps that took longer than their budget", labels=["process", "span"]
    )
    for process, found in spans.items():
        for name, span in found.items():
            slow.add_metric([process, name], span.slow)
    yield slow


def process_families(processes: dict[str, Vitals]) -> Iterator[Metric]:
    """Yield the resource use of each process."""
    cpu = CounterMetricFamily("ibdesk_process_cpu_seconds", "CPU time used", labels=["process"])
    memory = GaugeMetricFamily("ibdesk_process_memory_bytes", "Resident memory", labels=["process"])
    threads = GaugeMetricFamily("ibdesk_process_threads", "Threads", labels=["process"])
    files = GaugeMetricFamily("ibdesk_process_open_files", "Open files and sockets", labels=["process"])
    collections = CounterMetricFamily("ibdesk_process_collections", "Garbage collections", labels=["process"])
    lines = CounterMetricFamily("ibdesk_log_dropped", "Log lines lost", labels=["process"])
    for process, found in processes.items():
        cpu.add_metric([process], found.cpu_seconds)
        memory.add_metric([process], found.memory_bytes)
        threads.add_metric([process], found.threads)
        files.add_metric([process], found.open_files)
        collections.add_metric([process], found.collections)
        lines.add_metric([process], found.dropped_lines)
    yield from (cpu, memory, threads, files, collections, lines)


def task_families(processes: dict[str, list[TaskInfo]]) -> Iterator[Metric]:
    """Yield the state of each background task, by process."""
    labels = ["process", "task"]
    running = GaugeMetricFamily("ibdesk_task_running", "Whether a background task runs", labels=labels)
    restarts = CounterMetricFamily("ibdesk_task_restarts", "Restarts of a background task", labels=labels)
    for process, tasks in processes.items():
        for task in tasks:
            running.add_metric([process, task.name], task.state == "running")
            restarts.add_metric([process, task.name], task.restarts)
    yield from (running, restarts)


def lease_families(health: LeaseHealth | None) -> Iterator[Metric]:
    """Yield the state of the leader election among an account's engines; nothing without an election."""
    if health is None:
        return
    yield GaugeMetricFamily("ibdesk_lease_held", "Whether the engine leads", value=health.state is LeaseState.HELD)
    yield GaugeMetricFamily("ibdesk_lease_token", "Number (term) of its leadership", value=health.token)
    yield GaugeMetricFamily("ibdesk_lease_standbys", "Standby engines", value=len(health.standbys))


def redis_families(pools: dict[str, list[RedisHealth]]) -> Iterator[Metric]:
    """Yield the state of the Redis connection pools, by process; nothing without Redis."""
    if not any(pools.values()):
        return
    labels = ["process", "pool"]
    up = GaugeMetricFamily("ibdesk_redis_up", "Whether calls reach Redis", labels=labels)
    using = GaugeMetricFamily("ibdesk_redis_connections", "Connections in use", labels=labels)
    dedicated = GaugeMetricFamily("ibdesk_redis_dedicated", "Connections with a blocking call in Redis", labels=labels)
    calls = CounterMetricFamily("ibdesk_redis_calls", "Calls sent to Redis", labels=labels)
    failures = CounterMetricFamily("ibdesk_redis_failures", "Calls to Redis that failed", labels=labels)
    refused = CounterMetricFamily(
        "ibdesk_redis_refused", "Calls to Redis refused by the circuit breaker", labels=labels
    )
    for process, found in pools.items():
        for pool in found:
            where = [process, pool.name]
            up.add_metric(where, not pool.is_degraded)
            using.add_metric(where, pool.connections_in_use)
            dedicated.add_metric(where, pool.dedicated)
            calls.add_metric(where, pool.calls)
            failures.add_metric(where, pool.failures)
            refused.add_metric(where, pool.refused)
    yield from (up, using, dedicated, calls, failures, refused)


def audit_families(trail: AuditTrail) -> Iterator[Metric]:
    """Yield the metrics of the audit log."""
    yield CounterMetricFamily("ibdesk_audit_lines", "Audit lines written by this server", value=trail.written)
    yield GaugeMetricFamily("ibdesk_audit_waiting", "Audit lines waiting to be written", value=trail.waiting)
    yield CounterMetricFamily("ibdesk_audit_dropped", "Audit lines lost", value=trail.dropped)
