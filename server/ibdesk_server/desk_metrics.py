"""The desk's figures for Prometheus, read when they are asked for."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from ibdesk.desk import DeskHandle
from ibdesk.errors import DeskError
from ibdesk.model import Link


class DeskCollector(Collector):
    """Reads a desk; one that is closed has no figures but that it is down."""

    def __init__(self, desk: DeskHandle) -> None:
        self._desk = desk

    def describe(self) -> list[GaugeMetricFamily]:
        """Return nothing, so that registering it asks the desk nothing."""
        return []

    def collect(self) -> Iterator[GaugeMetricFamily | CounterMetricFamily]:
        """Yield the figures."""
        try:
            health, latency = self._desk.health(), self._desk.latency()
        except DeskError:
            yield GaugeMetricFamily("ibdesk_link_up", "Whether orders can leave", value=0)
            return
        yield GaugeMetricFamily("ibdesk_link_up", "Whether orders can leave", value=health.link is Link.UP)
        yield GaugeMetricFamily("ibdesk_halted", "Whether trading is halted", value=bool(health.halted))
        yield GaugeMetricFamily("ibdesk_uptime_seconds", "Since the desk was opened", value=health.uptime_seconds)
        yield CounterMetricFamily("ibdesk_events", "Events the engine took", value=health.events)
        yield CounterMetricFamily("ibdesk_orders", "Orders made", value=health.orders)
        yield CounterMetricFamily("ibdesk_fills", "Fills booked", value=health.fills)
        yield CounterMetricFamily("ibdesk_reconnects", "Times the link came back", value=health.reconnects)
        yield GaugeMetricFamily("ibdesk_open_orders", "Orders that may still fill", value=health.open_orders)
        seconds = GaugeMetricFamily("ibdesk_tick_to_order_seconds", "Tick to order", labels=["quantile"])
        seconds.add_metric(["0.5"], latency.p50_ms / 1e3)
        seconds.add_metric(["0.99"], latency.p99_ms / 1e3)
        yield seconds
