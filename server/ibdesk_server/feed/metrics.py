"""The metrics of the feed."""

from __future__ import annotations

from collections.abc import Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram


class FeedMetrics:
    """The metrics of the feed."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.clients = Gauge("ibdesk_feed_clients", "Connected feed clients", registry=registry)
        self.rows = Counter("ibdesk_feed_rows", "Rows received from the desk", ["topic"], registry=registry)
        self.cut = Counter("ibdesk_feed_cut", "Clients disconnected because they were too slow", registry=registry)
        self.refused = Counter(
            "ibdesk_feed_refused", "Clients disconnected because of their messages", registry=registry
        )
        self.lost = Counter("ibdesk_feed_overruns", "Times the feed restarted from a full state", registry=registry)
        self.attached = Gauge("ibdesk_feed_attached", "Whether updates arrive from the desk", registry=registry)
        self.lag = Gauge(
            "ibdesk_feed_lag_seconds",
            "Time that clients have been behind: maximum and 99th percentile",
            ["of"],
            registry=registry,
        )
        self.flush = Histogram(
            "ibdesk_feed_flush_seconds",
            "CPU time from receiving a batch from the desk to writing it to every client that keeps up",
            buckets=(0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5),
            registry=registry,
        )

    def observe_lags(self, seconds: Sequence[float]) -> None:
        """Record how long each client has been behind."""
        ordered = sorted(seconds) or [0.0]
        self.lag.labels("max").set(ordered[-1])
        self.lag.labels("p99").set(ordered[min(len(ordered) - 1, int(0.99 * len(ordered)))])
