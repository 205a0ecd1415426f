"""The request for a backtest: strategy, bars and costs."""

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
    """The sample prices: daily bars of AAPL, GOOG, IBM and MSFT from 2000 to 2013."""

    source: Literal["sample"] = Field(examples=["sample"])
    symbols: Symbols = Field([], description="empty means all four")


class FileBars(_Request):
    """A file of the server's data folder."""

    source: Literal["file"] = Field(examples=["file"])
    file: str = Field(max_length=100, pattern=_DATA_FILE, examples=["prices.parquet"])
    symbols: Symbols = Field([], description="empty means all in the file")
    symbol: Name | None = Field(None, description="instrument, if the file does not name one", examples=["AAPL"])
    zone: str | None = Field(
        None, max_length=64, description="zone of times without one", examples=["America/New_York"]
    )
    date_order: Literal["mdy", "dmy", "ymd"] | None = Field(
        None, description="order of day and month in ambiguous dates"
    )
    decimal: Literal[".", ","] | None = Field(None, description="decimal separator, if the numbers do not show it")
    format: str | None = Field(None, max_length=40, description="name of the file's layout", examples=["kibot"])

    def reading(self) -> dict[str, Any]:
        """Return the given arguments for `read_bars`."""
        return self.model_dump(include={"symbol", "zone", "date_order", "decimal", "format"}, exclude_none=True)


class HistoryBars(_Request):
    """Past bars that the desk requests from TWS."""

    source: Literal["history"] = Field(examples=["history"])
    symbols: Symbols = Field(min_length=1, max_length=50)
    bar: str = Field("1 day", max_length=20, description="length of a bar", examples=["1 day"])
    count: int = Field(500, ge=2, le=100_000, strict=True, description="number of bars for each symbol", examples=[500])


class BacktestRequest(_Request):
    """The strategy to test, its bars and its costs."""

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
        description="name of a file in the server's strategy folder",
        examples=["ema_cross.py"],
    )
    parameters: dict[str, Any] = Field(
        {},
        description="parameters by name; the others have their defaults",
        examples=[{"fast": 12, "slow": 26, "size": 100}],
    )
    bars: Annotated[SampleBars | FileBars | HistoryBars, Field(discriminator="source")]
    cash: float = Field(100_000, gt=0, le=1e15, strict=True, description="initial cash", examples=[100_000])
    commission: Literal["fixed", "tiered", "none"] = Field("fixed", description="IB's price list", examples=["fixed"])
    slippage_ticks: float = Field(1, ge=0, le=10_000, strict=True, description="ticks lost on each fill", examples=[1])
    limits: Literal["desk", "none"] = Field(
        "desk", description="`desk` for the risk rules of the settings, or `none`", examples=["desk"]
    )
    warm_up: int = Field(
        0,
        ge=0,
        le=1_000_000,
        strict=True,
        description="number of bars of each symbol that only warm up the features",
        examples=[0],
    )
