"""How a gateway is to run, as the command line and configuration files say it."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from ibdesk.config import Section
from ibdesk.errors import ConfigError
from ibdesk.gateway.account.paper_ids import checked_id


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
    invent: bool = Field(True, description="make up a share of any symbol that a client asks for")
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
