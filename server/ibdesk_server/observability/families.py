"""Metrics as Prometheus families, as text and as JSON."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from prometheus_client import generate_latest
from prometheus_client.core import HistogramMetricFamily, Metric
from prometheus_client.registry import Collector
from prometheus_client.samples import Sample

from ibdesk.telemetry.histogram import Counts, cumulative

# In seconds. The internal buckets are a hundred times finer.
_LIMITS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_LIMITS_NS = [limit * 1e9 for limit in _LIMITS]


def histogram_family(
    name: str, text: str, labels: Sequence[str], found: Mapping[tuple[str, ...], Counts]
) -> HistogramMetricFamily:
    """Return histograms of durations, by label values."""
    family = HistogramMetricFamily(name, text, labels=list(labels))
    for values, counts in found.items():
        passed = cumulative(counts, _LIMITS_NS)
        buckets = [(f"{limit:g}", float(count)) for limit, count in zip(_LIMITS, passed, strict=True)]
        family.add_metric(list(values), [*buckets, ("+Inf", float(counts.count))], counts.total_ns / 1e9)
    return family


class Labeled(Collector):
    """Families of several sources, with the label `worker` added to every sample."""

    def __init__(self, worker: str, *sources: Iterable[Metric]) -> None:
        self._worker, self._sources = worker, sources

    def collect(self) -> Iterator[Metric]:
        """Yield the families."""
        for source in self._sources:
            for family in source:
                labeled = Metric(family.name, family.documentation, family.type, family.unit)
                labeled.samples = [self._with_worker(sample) for sample in family.samples]
                yield labeled

    def _with_worker(self, sample: Sample) -> Sample:
        return sample._replace(labels={**sample.labels, "worker": self._worker})


def as_text(collector: Collector) -> bytes:
    """Return the metrics in Prometheus's text format."""
    return generate_latest(collector)


def as_plain(collector: Collector) -> dict[str, list[dict[str, Any]]]:
    """Return the samples of each family as JSON data; NaN and infinity are null."""
    return {
        family.name: [
            {"name": sample.name, "labels": sample.labels, "value": finite(sample.value)} for sample in family.samples
        ]
        for family in collector.collect()
    }


def finite(value: Any) -> Any:
    """Return a value, None if it is NaN or infinite."""
    return None if isinstance(value, float) and not math.isfinite(value) else value
