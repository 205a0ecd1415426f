"""What the feed counts, for the metrics page."""

from __future__ import annotations

from collections.abc import Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram


class FeedMetrics:
    """What the feed counts."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.clients = Gauge("ibdesk_feed_clients", "Connected feed clients", registry=registry)
        self.rows = Counter("ibdesk_feed_rows", "Rows taken from the desk", ["topic"], registry=registry)
        self.cut = Counter("ibdesk_feed_cut", "Clients cut because they were too slow", registry=registry)
        self.refused = Counter("ibdesk_feed_refused", "Clients cut for what they sent", registry=registry)
        self.lost = Counter("ibdesk_feed_overruns", "Times the feed started over from a state", registry=registry)
        self.attached = Gauge("ibdesk_feed_attached", "Whether news come from the desk", registry=registry)
        self.lag = Gauge(
            "ibdesk_feed_lag_seconds",
            "How long clients have been behind: the longest of all, and of 99 in 100",
            ["of"],
            registry=registry,
        )
        self.flush = Histogram(
            "ibdesk_feed_flush_seconds",
            "Processor time from taking a batch off the desk to its bytes being with every client that keeps up",
            buckets=(0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5),
            registry=registry,
        )

    def observe_lags(self, seconds: Sequence[float]) -> None:
        """Take note of how long each client has been behind."""
        ordered = sorted(seconds) or [0.0]
        self.lag.labels("max").set(ordered[-1])
        self.lag.labels("p99").set(ordered[min(len(ordered) - 1, int(0.99 * len(ordered)))])
