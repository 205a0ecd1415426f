"""How a gateway is to run, as the command line and configuration files say it, and the run itself."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import msgspec
import polars as pl

from ibdesk.clock import Clock, ScaledClock, SystemClock
from ibdesk.errors import ConfigError
from ibdesk.gateway.account.accounts import checked_id
from ibdesk.gateway.faults.script import FaultScript
from ibdesk.gateway.listening import Listener
from ibdesk.gateway.market.replay import Replay
from ibdesk.gateway.market.script import MarketScript
from ibdesk.gateway.market.source import MarketSource
from ibdesk.gateway.market.walk import RandomWalk
from ibdesk.gateway.pacing import Pacing
from ibdesk.gateway.server import Gateway


class GatewaySettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything `run_gateway` needs.

    `port` 0 takes a free one. `speed` is how many seconds of the market pass in one of the wall. `replay` names a CSV
    or Parquet file of bars, or a folder of them; without it the `symbols` walk at random from `seed`.
    `play_each_over_seconds` squeezes or stretches each bar of a replay to that many seconds of the market. `accounts`
    names several in the place of `account`. `state` names a file in which accounts and orders outlive the gateway. With
    `pacing` clients may ask no more than TWS allows, counted on the gateway's clock; the command line has it on, a
    gateway inside a program off. `faults` names a fault script in TOML, played from the start on. `script` names a
    CSV or TOML file that states the market, in the place of a replay or a walk. `hours` and `data` are those of
    `Gateway`.
    """

    host: str = "127.0.0.1"
    port: int = 7497
    speed: float = 1.0
    seed: int = 0
    symbols: tuple[str, ...] = ()
    replay: Path | None = None
    play_each_over_seconds: float | None = None
    start: int = 0
    loop: bool = False
    account: str = "DU9000001"
    accounts: tuple[str, ...] = ()
    cash: float = 1_000_000.0
    strict: bool = False
    partial: bool = False
    pacing: bool = False
    state: Path | None = None
    faults: Path | None = None
    script: Path | None = None
    hours: Literal["always", "exchange"] = "always"
    data: Literal["live", "delayed"] = "live"

    def checked(self) -> GatewaySettings:
        """Return the settings themselves when they can be run.

        Raises:
            ConfigError: If one cannot; the sentence names it.
        """
        if not 0 <= self.port <= 65535:
            raise ConfigError(f"gateway.port must be from 0 to 65535, got {self.port}")
        for name, figure in (("speed", self.speed), ("cash", self.cash)):
            if not 0 < figure < float("inf"):
                raise ConfigError(f"gateway.{name} must be positive, got {figure:g}")
        if self.play_each_over_seconds is not None and not 0 < self.play_each_over_seconds <= 86_400:
            raise ConfigError(
                f"gateway.play_each_over_seconds must be above 0 and at most a day, got {self.play_each_over_seconds:g}"
            )
        if self.replay is None and self.play_each_over_seconds is not None:
            raise ConfigError("gateway.play_each_over_seconds needs gateway.replay")
        if self.replay is not None and self.script is not None:
            raise ConfigError("gateway.replay and gateway.script both name a market: give one of them")
        for account in self.accounts or (self.account,):
            checked_id(account)
        return self


def clock_of(settings: GatewaySettings) -> Clock:
    """Return the clock that settings describe: the wall's, or one that starts there now and runs faster."""
    return SystemClock() if settings.speed == 1 else ScaledClock(time.time_ns(), settings.speed)


def make_gateway(
    settings: GatewaySettings,
    *,
    bars: pl.DataFrame | None = None,
    clock: Clock | None = None,
    listener: Listener | None = None,
) -> Gateway:
    """Return the gateway that settings describe, not started; `bars` is the bar frame read from `settings.replay`.

    `clock` is one that `clock_of` made before, for who needs it too; `listener` hears every message.

    Raises:
        ConfigError: If a setting or the fault script is wrong, or bars are missing for a replay.
        DataError: If the bars cannot be played.
    """
    settings = settings.checked()
    return Gateway(
        market=_market(settings, bars),
        clock=clock_of(settings) if clock is None else clock,
        listener=listener,
        host=settings.host,
        port=settings.port,
        seed=settings.seed,
        account=settings.account,
        accounts=settings.accounts,
        cash=settings.cash,
        strict=settings.strict,
        partial=settings.partial,
        state=settings.state,
        hours=settings.hours,
        data=settings.data,
        pacing=Pacing() if settings.pacing else None,
        faults=None if settings.faults is None else FaultScript.read(settings.faults),
    )


async def run_gateway(
    settings: GatewaySettings, on_ready: Callable[[Gateway], None], *, bars: pl.DataFrame | None = None
) -> None:
    """Serve until cancelled; `on_ready` is called with the gateway once it listens.

    Raises:
        AddressInUseError: If the port is taken.
        ConfigError: If a setting is wrong.
        DataError: If the replay cannot be read or played.
    """
    gateway = make_gateway(settings, bars=bars)
    await gateway.start()
    try:
        on_ready(gateway)
        await gateway.served()
    finally:
        await gateway.stop()


def _market(settings: GatewaySettings, bars: pl.DataFrame | None) -> MarketSource:
    if settings.script is not None:
        return MarketScript.read(settings.script)
    if settings.replay is None:
        return RandomWalk(settings.seed, settings.symbols) if settings.symbols else RandomWalk(settings.seed)
    if bars is None:
        raise ConfigError(f"gateway.replay is {settings.replay}, but its bars were not read")
    if settings.symbols:
        bars = bars.filter(pl.col("symbol").is_in(settings.symbols))
    return Replay(
        bars,
        play_each_over_seconds=settings.play_each_over_seconds,
        start=settings.start,
        loop=settings.loop,
    )
