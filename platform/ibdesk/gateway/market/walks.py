"""Parameters of random walks: price, volatility, spread and volume, with usual values of well-known instruments."""

from __future__ import annotations

import math

import msgspec

from ibdesk.errors import ConfigError
from ibdesk.gateway.market.source import SPREAD


class Walk(msgspec.Struct, frozen=True, kw_only=True):
    """The random walk of one instrument.

    `price` is its start; `yearly_volatility` the deviation of its yearly log return; `spread` the quoted spread as a
    fraction of the price (at least one tick); `volume` that of a day of six and a half hours, in shares or contracts.
    """

    price: float = 100.0
    yearly_volatility: float = 0.25
    spread: float = SPREAD
    volume: float = 4_000_000.0

    def checked(self, name: str) -> Walk:
        """Return the walk itself if its values are valid.

        Raises:
            ConfigError: If a value is out of range; the message names it.
        """
        for what in ("price", "yearly_volatility", "spread", "volume"):
            figure = getattr(self, what)
            if not 0 <= figure < math.inf or (what == "price" and not figure):
                raise ConfigError(f"the walk of {name}: {what} is out of range: {figure:g}")
        return self


# Rounded values of recent years: price, volatility, and daily volume. A future is found by its root.
WALKS = {
    "AAPL": Walk(price=230.0, volume=50e6),
    "AMD": Walk(price=160.0, yearly_volatility=0.45, volume=45e6),
    "AMZN": Walk(price=220.0, yearly_volatility=0.3, volume=40e6),
    "GOOG": Walk(price=170.0, yearly_volatility=0.28, volume=20e6),
    "IBM": Walk(price=220.0, yearly_volatility=0.22, volume=4e6),
    "INTC": Walk(price=25.0, yearly_volatility=0.45, volume=80e6),
    "IWM": Walk(price=220.0, yearly_volatility=0.2, volume=30e6),
    "JPM": Walk(price=240.0, yearly_volatility=0.22, volume=9e6),
    "KO": Walk(price=65.0, yearly_volatility=0.14, volume=14e6),
    "META": Walk(price=600.0, yearly_volatility=0.32, volume=13e6),
    "MSFT": Walk(price=420.0, yearly_volatility=0.22, volume=20e6),
    "NFLX": Walk(price=900.0, yearly_volatility=0.32, volume=4e6),
    "NVDA": Walk(price=140.0, yearly_volatility=0.45, volume=250e6),
    "QQQ": Walk(price=510.0, yearly_volatility=0.2, spread=0.00003, volume=40e6),
    "SPY": Walk(price=590.0, yearly_volatility=0.15, spread=0.00003, volume=60e6),
    "TSLA": Walk(price=300.0, yearly_volatility=0.6, volume=95e6),
    "EUR.USD": Walk(price=1.08, yearly_volatility=0.07, spread=0.00005, volume=0.0),
    "GBP.USD": Walk(price=1.27, yearly_volatility=0.08, spread=0.00005, volume=0.0),
    "USD.JPY": Walk(price=150.0, yearly_volatility=0.09, spread=0.00005, volume=0.0),
    "ES": Walk(price=5900.0, yearly_volatility=0.15, spread=0.00004, volume=1.5e6),
    "MES": Walk(price=5900.0, yearly_volatility=0.15, spread=0.00004, volume=1e6),
    "NQ": Walk(price=21000.0, yearly_volatility=0.2, spread=0.00002, volume=0.6e6),
    "YM": Walk(price=43000.0, yearly_volatility=0.15, spread=0.00003, volume=0.1e6),
    "RTY": Walk(price=2250.0, yearly_volatility=0.22, spread=0.00005, volume=0.2e6),
    "CL": Walk(price=72.0, yearly_volatility=0.35, volume=0.3e6),
    "MCL": Walk(price=72.0, yearly_volatility=0.35, volume=0.1e6),
    "NG": Walk(price=3.2, yearly_volatility=0.6, spread=0.0003, volume=0.15e6),
    "RB": Walk(price=2.1, yearly_volatility=0.35, volume=0.05e6),
    "HO": Walk(price=2.3, yearly_volatility=0.35, volume=0.05e6),
    "GC": Walk(price=2650.0, yearly_volatility=0.15, spread=0.00004, volume=0.2e6),
    "MGC": Walk(price=2650.0, yearly_volatility=0.15, spread=0.00004, volume=0.1e6),
    "SI": Walk(price=31.0, yearly_volatility=0.3, volume=0.06e6),
    "SIL": Walk(price=31.0, yearly_volatility=0.3, volume=0.02e6),
    "HG": Walk(price=4.2, yearly_volatility=0.22, volume=0.06e6),
    "ZN": Walk(price=110.0, yearly_volatility=0.06, volume=1.5e6),
    "ZB": Walk(price=118.0, yearly_volatility=0.11, volume=0.3e6),
    "ZF": Walk(price=107.0, yearly_volatility=0.04, volume=1e6),
    "ZT": Walk(price=103.0, yearly_volatility=0.02, volume=0.5e6),
    "ZC": Walk(price=430.0, yearly_volatility=0.25, volume=0.15e6),
    "ZS": Walk(price=1010.0, yearly_volatility=0.2, volume=0.12e6),
    "ZW": Walk(price=550.0, yearly_volatility=0.3, volume=0.06e6),
    "6E": Walk(price=1.08, yearly_volatility=0.07, spread=0.00005, volume=0.2e6),
    "6B": Walk(price=1.27, yearly_volatility=0.08, spread=0.00008, volume=0.1e6),
    "6J": Walk(price=0.0067, yearly_volatility=0.09, spread=0.00008, volume=0.15e6),
    "VX": Walk(price=16.0, yearly_volatility=0.8, spread=0.003, volume=0.1e6),
    "SPX-IND": Walk(price=5900.0, yearly_volatility=0.15, volume=0.0),
}
