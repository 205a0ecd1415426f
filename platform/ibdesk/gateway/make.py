"""Creating and running a gateway from its settings."""

from __future__ import annotations

from collections.abc import Callable

import polars as pl

from ibdesk.clock import Clock, ScaledClock, SystemClock, wall_ns
from ibdesk.errors import ConfigError
from ibdesk.gateway.faults.script import FaultScript
from ibdesk.gateway.listening import MessageListener
from ibdesk.gateway.market.names import played_name
from ibdesk.gateway.market.replay import Replay
from ibdesk.gateway.market.script import MarketScript
from ibdesk.gateway.market.source import MarketSource
from ibdesk.gateway.market.walk import RandomWalk
from ibdesk.gateway.pacing import Pacing
from ibdesk.gateway.server import Gateway
from ibdesk.gateway.settings import GatewaySettings


def clock_of(settings: GatewaySettings) -> Clock:
    """Return the clock of the settings: the wall clock, or one that starts at its time and runs faster."""
    return SystemClock() if settings.speed == 1 else ScaledClock(wall_ns(), settings.speed)


def make_gateway(
    settings: GatewaySettings,
    *,
    bars: pl.DataFrame | None = None,
    clock: Clock | None = None,
    listener: MessageListener | None = None,
) -> Gateway:
    """Return the gateway of the settings, not started; `bars` is the bar frame read from `settings.replay`.

    `clock` is one that `clock_of` returned before, if others need it too; `listener` receives every message.

    Raises:
        ConfigError: If a setting or the fault script is invalid, or bars are missing for a replay.
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
        invent=settings.invent,
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
        ConfigError: If a setting is invalid.
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
        chosen = {played_name(name) for name in settings.symbols}
        bars = bars.filter(pl.col("symbol").map_elements(played_name, pl.String).is_in(chosen))
    return Replay(
        bars,
        play_each_over_seconds=settings.play_each_over_seconds,
        start=settings.start,
        loop=settings.loop,
    )
