"""What can be asked of a backtest: which strategy, on which bars, at which costs."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

Name = Annotated[str, Field(min_length=1, max_length=64)]
Symbols = Annotated[list[Name], Field(max_length=1_000, examples=[["AAPL", "MSFT"]])]

STRATEGY_FILE = r"^[A-Za-z0-9][A-Za-z0-9_-]*\.py$"
_DATA_FILE = r"^[A-Za-z0-9][A-Za-z0-9._-]*\.(csv|txt|tsv|json|jsonl|ndjson|parquet)(\.(gz|xz|bz2|zip))?$"


class _Request(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class SampleBars(_Request):
    """The daily prices of AAPL, GOOG, IBM and MSFT, 2000 to 2013, that ibdesk comes with."""

    source: Literal["sample"] = Field(examples=["sample"])
    symbols: Symbols = Field([], description="all four when there are none")


class FileBars(_Request):
    """A file of the server's data folder."""

    source: Literal["file"] = Field(examples=["file"])
    file: str = Field(max_length=100, pattern=_DATA_FILE, examples=["prices.parquet"])
    symbols: Symbols = Field([], description="all that are in it when there are none")
    symbol: Name | None = Field(None, description="the instrument of a file that names none", examples=["AAPL"])
    zone: str | None = Field(
        None, max_length=64, description="the zone of times that carry none", examples=["America/New_York"]
    )
    date_order: Literal["mdy", "dmy", "ymd"] | None = Field(None, description="of dates that may be read either way")
    decimal: Literal[".", ","] | None = Field(None, description="what begins decimals, when no number shows it")
    format: str | None = Field(None, max_length=40, description="the file's layout by name", examples=["kibot"])

    def reading(self) -> dict[str, Any]:
        """Return the arguments of `read_bars` that are given."""
        return self.model_dump(include={"symbol", "zone", "date_order", "decimal", "format"}, exclude_none=True)


class HistoryBars(_Request):
    """Past bars that the desk asks of TWS."""

    source: Literal["history"] = Field(examples=["history"])
    symbols: Symbols = Field(min_length=1, max_length=50)
    bar: str = Field("1 day", max_length=20, description="length of a bar", examples=["1 day"])
    count: int = Field(500, ge=2, le=100_000, strict=True, description="how many bars of each", examples=[500])


class BacktestRequest(_Request):
    """Which strategy to test, on what, and at which costs."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "file": "ema_cross.py",
                    "parameters": {"fast": 12, "slow": 26, "size": 100},
                    "bars": {"source": "sample", "symbols": ["AAPL", "MSFT"]},
                    "cash": 100_000,
                }
            ]
        }
    )

    file: str = Field(
        max_length=100,
        pattern=STRATEGY_FILE,
        description="name of a file of the server's strategies folder",
        examples=["ema_cross.py"],
    )
    parameters: dict[str, Any] = Field(
        {}, description="those not given have their defaults", examples=[{"fast": 12, "slow": 26, "size": 100}]
    )
    bars: Annotated[SampleBars | FileBars | HistoryBars, Field(discriminator="source")]
    cash: float = Field(100_000, gt=0, le=1e15, strict=True, description="money at the start", examples=[100_000])
    commission: Literal["fixed", "tiered", "none"] = Field("fixed", description="IB's price list", examples=["fixed"])
    slippage_ticks: float = Field(1, ge=0, le=10_000, strict=True, description="ticks lost on each fill", examples=[1])
    limits: Literal["desk", "none"] = Field(
        "desk", description="the risk rules of the settings, as a desk opens with them, or none", examples=["desk"]
    )
    warm_up: int = Field(
        0,
        ge=0,
        le=1_000_000,
        strict=True,
        description="how many bars of each symbol only feed the features",
        examples=[0],
    )
