"""How a gateway is to run, as the command line and configuration files say it, and the run itself."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Literal, Self

import polars as pl
from pydantic import Field, field_validator, model_validator

from ibdesk.clock import Clock, ScaledClock, SystemClock
from ibdesk.config import Section
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


class GatewaySettings(Section):
    """Everything `run_gateway` needs; `hours` and `data` are those of `Gateway`."""

    host: str = Field("127.0.0.1", min_length=1, description="address to listen on")
    port: int = Field(7497, ge=0, le=65_535, description="port to listen on; 0 takes any free one")
    speed: float = Field(1.0, gt=0, allow_inf_nan=False, description="seconds of the market in one of the wall's")
    seed: int = Field(0, description="another seed is another random market")
    symbols: tuple[str, ...] = Field((), description="instruments of the market; none: some at random, all of a replay")
    replay: Path | None = Field(None, description="CSV or Parquet file of bars to play, or a folder of them")
    play_each_over_seconds: float | None = Field(
        None, gt=0, le=86_400, description="seconds of the market that each bar of a replay is squeezed or stretched to"
    )
    start: int = Field(0, description="bars of the replay that are past when it begins")
    loop: bool = Field(False, description="begin the replay again at its end")
    account: str = Field("DU9000001", description="id of the paper account; begins with D")
    accounts: tuple[str, ...] = Field((), description="ids of several paper accounts, in the place of the one")
    cash: float = Field(1_000_000.0, gt=0, allow_inf_nan=False, description="what each account begins with, US dollars")
    strict: bool = Field(False, description="know only the shipped contracts, not any symbol")
    partial: bool = Field(False, description="fill no more at once than is displayed")
    pacing: bool = Field(False, description="let clients ask no more than TWS allows, on the gateway's clock")
    state: Path | None = Field(None, description="file in which accounts and orders outlive the gateway")
    faults: Path | None = Field(None, description="fault script in TOML, played from the start on")
    script: Path | None = Field(None, description="CSV or TOML file that states the market, instead of replay or walk")
    hours: Literal["always", "exchange"] = Field(
        "always", description="trade day and night, or in the sessions of the exchanges"
    )
    data: Literal["live", "delayed"] = Field("live", description="market data that clients are entitled to")

    @field_validator("account")
    @classmethod
    def _is_paper(cls, account: str) -> str:
        return _checked(account)

    @field_validator("accounts")
    @classmethod
    def _are_paper(cls, accounts: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(_checked(account) for account in accounts)

    @model_validator(mode="after")
    def _has_one_market(self) -> Self:
        if self.replay is None and self.play_each_over_seconds is not None:
            raise ValueError("gateway.play_each_over_seconds needs gateway.replay")
        if self.replay is not None and self.script is not None:
            raise ValueError("gateway.replay and gateway.script both name a market: give one of them")
        return self


def _checked(account: str) -> str:
    try:
        return checked_id(account)
    except ConfigError as error:
        raise ValueError(str(error)) from None


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
