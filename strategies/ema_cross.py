"""Follow the trend: hold while a fast average of the price is above a slow one."""

import polars as pl

from ibdesk import Field, Strategy, ema


class EmaCross(Strategy):
    """Hold `size` shares while the fast EMA of the close is above the slow one."""

    fast: int = Field(12, ge=1, description="span of the fast EMA, bars")
    slow: int = Field(26, ge=2, description="span of the slow EMA, bars")
    size: float = Field(100, gt=0, description="position while long, shares")

    def features(self) -> dict[str, pl.Expr]:
        return {"fast": ema("close", self.fast), "slow": ema("close", self.slow)}

    def target(self) -> pl.Expr:
        return pl.when(pl.col("fast") > pl.col("slow")).then(self.size).otherwise(0.0)
