"""The gateway inside a desk's own process, for use without a TWS."""

from __future__ import annotations

from typing import Self

from ibdesk.clock import Clock
from ibdesk.data import read_bars
from ibdesk.gateway import Faults, GatewaySettings, GatewayThread, make_gateway
from ibdesk.tws import TwsSettings


class EmbeddedGateway:
    """A gateway on its own thread, which the desk reaches over TCP like any other TWS."""

    def __init__(self, settings: GatewaySettings) -> None:
        """Make a gateway that is not started.

        Raises:
            ConfigError: If a setting is wrong.
            DataError: If the bars to replay cannot be read.
        """
        bars = None if settings.replay is None else read_bars(settings.replay, allow_gaps=True).frame
        self._thread = GatewayThread(make_gateway(settings, bars=bars))

    @property
    def clock(self) -> Clock:
        """The market's clock, which the desk must share if it differs from the wall clock."""
        return self._thread.gateway.schedule.clock

    @property
    def faults(self) -> Faults:
        """The switches for faults of the gateway; usable from any thread."""
        return self._thread.faults

    def reached_by(self, tws: TwsSettings) -> TwsSettings:
        """Return the settings with this gateway's address and account."""
        gateway = self._thread.gateway
        return tws.model_copy(
            update={"host": gateway.host, "port": gateway.port, "account": gateway.account, "mode": "paper"}
        )

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.stop()
