"""Content negotiation: the media type that an `Accept` header prefers."""

from __future__ import annotations

from collections.abc import Iterable


def preferred(accept: str, offers: Iterable[str]) -> str | None:
    """Return the media type among `offers`, best first, that an `Accept` header prefers, or None if it accepts none.

    The most specific range that fits an offer sets its weight (RFC 9110, 12.5.1). An empty header accepts everything.
    """
    ranges = [_range(text) for text in accept.split(",") if text.strip()] or [("*/*", 1.0)]
    best, weight = None, 0.0
    for offer in offers:
        found = _weight(offer, ranges)
        if found > weight:
            best, weight = offer, found
    return best


def _range(text: str) -> tuple[str, float]:
    """Return a media range and its weight; a weight that is not a number counts as 0."""
    kind, *options = (part.strip().lower() for part in text.split(";"))
    weights = [option[2:] for option in options if option.startswith("q=")]
    try:
        return kind, min(float(weights[0]), 1.0) if weights else 1.0
    except ValueError:
        return kind, 0.0


def _weight(offer: str, ranges: list[tuple[str, float]]) -> float:
    family = offer.partition("/")[0]
    for fitting in (offer, f"{family}/*", "*/*"):
        weights = [weight for kind, weight in ranges if kind == fitting]
        if weights:
            return max(weights)
    return 0.0
