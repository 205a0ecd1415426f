"""The settings of a gateway, for the command line and configuration files."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from ibdesk.config import Section
from ibdesk.errors import ConfigError
from ibdesk.gateway.account.paper_ids import checked_id


class GatewaySettings(Section):
    """The settings of `run_gateway`; `hours` and `data` are those of `Gateway`."""

    host: str = Field("127.0.0.1", min_length=1, description="address to listen on")
    port: int = Field(7497, ge=0, le=65_535, description="port to listen on; 0 takes any free one")
    speed: float = Field(1.0, gt=0, allow_inf_nan=False, description="market seconds per real second")
    seed: int = Field(0, description="seed of the random market; each one gives another market")
    symbols: tuple[str, ...] = Field((), description="instruments of the market; none: a usual few, or all of a replay")
    replay: Path | None = Field(None, description="CSV or Parquet file of bars to play, or a folder of them")
    play_each_over_seconds: float | None = Field(
        None, gt=0, le=86_400, description="market seconds that each bar of a replay takes"
    )
    start: int = Field(0, description="bars of the replay that are in the past when it begins")
    loop: bool = Field(False, description="restart the replay at its end")
    account: str = Field("DU9000001", description="id of the paper account; begins with D")
    accounts: tuple[str, ...] = Field((), description="ids of several paper accounts, in place of the one")
    cash: float = Field(1_000_000.0, gt=0, allow_inf_nan=False, description="initial cash of each account, US dollars")
    strict: bool = Field(False, description="know only the shipped contracts, not any symbol")
    invent: bool = Field(True, description="make up a share for any unknown symbol")
    partial: bool = Field(False, description="fill at most the displayed size at once")
    pacing: bool = Field(False, description="limit clients' requests as TWS does, on the gateway's clock")
    state: Path | None = Field(None, description="file that keeps accounts and orders between runs")
    faults: Path | None = Field(None, description="fault script in TOML, played from the start")
    script: Path | None = Field(None, description="CSV or TOML file with the market's quotes and trades")
    hours: Literal["always", "exchange"] = Field(
        "always", description="trade day and night, or in the sessions of the exchanges"
    )
    data: Literal["live", "delayed"] = Field("live", description="market data that clients have a right to")

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
            raise ValueError("gateway.replay and gateway.script both name a market: give only one of them")
        return self


def _checked(account: str) -> str:
    try:
        return checked_id(account)
    except ConfigError as error:
        raise ValueError(str(error)) from None
