"""The settings of the guardian."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from ibdesk.config import Section
from ibdesk.guardian.decisions import OnSilence, Rules
from ibdesk.guardian.stop import Level

_Limit = Annotated[float, Field(gt=0)] | None
# The default of the last limit is this multiple of the engine's own.
_BEYOND_THE_ENGINE = 2.0


class GuardianSettings(Section):
    """The guardian beside the engine: when it stops the account, and how far it goes."""

    enabled: bool = Field(True, description="whether `ibdesk up` starts it")
    client_id: int = Field(90, ge=1, description="its client id at TWS, different from the desk's")
    max_daily_loss: _Limit = Field(
        None, description="loss of the account today at which it acts; unset, twice risk.max_daily_loss"
    )
    on_daily_loss: Level = Field(
        Level.FLATTEN, description="what it does then: halt (cancels what opens), cancel (every order), or flatten"
    )
    max_gross_exposure: _Limit = Field(
        None, description="value of all positions, longs and shorts added, at which it acts; unset, no limit"
    )
    on_gross_exposure: Level = Field(Level.HALT, description="what it does then: halt, cancel or flatten")
    max_orders_per_minute: _Limit = Field(
        3_000.0, description="orders of all clients within a minute at which it acts; unset, no limit"
    )
    on_order_rate: Level = Field(Level.CANCEL, description="what it does then: halt, cancel or flatten")
    heartbeat_seconds: float = Field(
        10.0, ge=1, le=3_600, description="the engine counts as hung after so many seconds without an answer"
    )
    start_seconds: float = Field(
        120.0, ge=1, le=3_600, description="the same until its first answer: a starting engine may load history"
    )
    on_silence: OnSilence = Field(
        OnSilence.CANCEL_OPENING, description="what happens to its runs then: keep, cancel_opening or flatten"
    )
    on_silence_of: dict[str, OnSilence] = Field(
        {}, description="the same for single runs, by run id or name: on_silence_of.EmaCross = flatten"
    )
    mismatch_grace_seconds: float = Field(
        60.0, ge=5, le=86_400, description="seconds for which books of engine and account may differ"
    )
    on_mismatch: Level = Field(Level.HALT, description="what it does after that: halt, cancel or flatten")
    look_seconds: float = Field(1.0, ge=0.2, le=60, description="how often it looks at the account's orders, seconds")
    outside_regular_hours: bool = Field(
        True, description="whether orders that close positions may fill outside regular hours, where the market allows"
    )

    def rules(self, *, max_daily_loss: float) -> Rules:
        """Return the rules; `max_daily_loss` is the engine's own limit, infinite where it has none."""
        limit = self.max_daily_loss
        if limit is None and max_daily_loss < float("inf"):
            limit = _BEYOND_THE_ENGINE * max_daily_loss
        return Rules(
            max_daily_loss=limit,
            max_gross_exposure=self.max_gross_exposure,
            max_orders_per_minute=self.max_orders_per_minute,
            on_daily_loss=self.on_daily_loss,
            on_gross_exposure=self.on_gross_exposure,
            on_order_rate=self.on_order_rate,
            heartbeat_seconds=self.heartbeat_seconds,
            start_seconds=self.start_seconds,
            on_silence=self.on_silence,
            on_silence_of=dict(self.on_silence_of),
            mismatch_grace_seconds=self.mismatch_grace_seconds,
            on_mismatch=self.on_mismatch,
        )
