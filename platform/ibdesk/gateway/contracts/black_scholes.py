"""The value of a European option in the model of Black and Scholes, without dividends.

Source of every formula: F. Black and M. Scholes, "The Pricing of Options and Corporate Liabilities", Journal of
Political Economy 81 (1973), in the notation of J. Hull, "Options, Futures, and Other Derivatives", chapters on the
Black-Scholes-Merton model and on the Greek letters.
"""

from __future__ import annotations

import math

import msgspec

from ibdesk.model import Right

# The range of yearly volatilities in which an implied one is searched.
LEAST_VOLATILITY, GREATEST_VOLATILITY = 1e-4, 10.0
_HALVINGS = 100
_DAYS_A_YEAR = 365


class OptionTerms(msgspec.Struct, frozen=True):
    """An option and its pricing parameters: `years` to expiry, `rate` per year with continuous compounding."""

    right: Right
    strike: float
    years: float
    rate: float = 0.0


class Greeks(msgspec.Struct, frozen=True):
    """Value and sensitivities in TWS's units (captured): `vega` per point of volatility, `theta` per day."""

    price: float
    delta: float
    gamma: float
    vega: float
    theta: float


def price(terms: OptionTerms, spot: float, volatility: float) -> float:
    """Return the option's value: S N(d1) - K e^(-rT) N(d2) for a call, K e^(-rT) N(-d2) - S N(-d1) for a put.

    An expired option, or one whose spot cannot move, has the value of its discounted payoff.
    """
    discounted = terms.strike * math.exp(-terms.rate * terms.years)
    sign = 1 if terms.right is Right.CALL else -1
    if _is_certain(terms, spot, volatility):
        return max(0.0, sign * (spot - discounted))
    d1, d2 = _d1_d2(terms, spot, volatility)
    return max(0.0, sign * (spot * _below(sign * d1) - discounted * _below(sign * d2)))


def greeks(terms: OptionTerms, spot: float, volatility: float) -> Greeks:
    """Return value and sensitivities.

    Delta is N(d1), less one for a put; gamma is n(d1) / (S s sqrt(T)); vega is S n(d1) sqrt(T) for a volatility of 1,
    returned for 0.01; theta is -S n(d1) s / (2 sqrt(T)) -+ r K e^(-rT) N(+-d2) for a year, returned for one of 365
    days.
    """
    value = price(terms, spot, volatility)
    sign = 1 if terms.right is Right.CALL else -1
    if _is_certain(terms, spot, volatility):
        return Greeks(value, float(sign) if value > 0 else 0.0, 0.0, 0.0, 0.0)
    d1, d2 = _d1_d2(terms, spot, volatility)
    root, density = math.sqrt(terms.years), math.exp(-d1 * d1 / 2) / math.sqrt(2 * math.pi)
    discounted = terms.strike * math.exp(-terms.rate * terms.years)
    decay = -spot * density * volatility / (2 * root) - sign * terms.rate * discounted * _below(sign * d2)
    return Greeks(
        price=value,
        delta=sign * _below(sign * d1),
        gamma=density / (spot * volatility * root),
        vega=spot * density * root / 100,
        theta=decay / _DAYS_A_YEAR,
    )


def implied_volatility(terms: OptionTerms, spot: float, value: float) -> float | None:
    """Return the volatility at which the option has this value, by bisection.

    The result is None if no volatility between `LEAST_VOLATILITY` and `GREATEST_VOLATILITY` gives it: the value is
    below the certain payoff, or above the greatest possible value.
    """
    low, high = LEAST_VOLATILITY, GREATEST_VOLATILITY
    if not price(terms, spot, low) < value < price(terms, spot, high):
        return None
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if price(terms, spot, middle) < value:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def _is_certain(terms: OptionTerms, spot: float, volatility: float) -> bool:
    return terms.years <= 0 or volatility <= 0 or spot <= 0


def _d1_d2(terms: OptionTerms, spot: float, volatility: float) -> tuple[float, float]:
    """Return d1 = (ln(S/K) + (r + s^2/2) T) / (s sqrt(T)), and d2 = d1 - s sqrt(T)."""
    deviation = volatility * math.sqrt(terms.years)
    drift = (terms.rate + volatility * volatility / 2) * terms.years
    d1 = (math.log(spot / terms.strike) + drift) / deviation
    return d1, d1 - deviation


def _below(deviations: float) -> float:
    """Return N(x), the chance that a standard normal variable is below x."""
    return math.erfc(-deviations / math.sqrt(2)) / 2
