"""The shipped indices: they have quotes and bars, and cannot be traded."""

from __future__ import annotations

from collections.abc import Iterator

from ibdesk.gateway.contracts.contract import ContractData, made_up_id
from ibdesk.model import Index

# Symbol, IB's contract id (0 if not known for certain), exchange, name.
_INDICES = """
SPX 416904 CBOE S&P 500 Stock Index
NDX 416843 NASDAQ NASDAQ 100 Stock Index
VIX 13455763 CBOE CBOE Volatility Index
DJI 0 CME Dow Jones Industrial Average
"""


def shipped_indices() -> Iterator[ContractData]:
    """Yield the shipped indices."""
    for line in _INDICES.strip().splitlines():
        symbol, con_id, exchange, name = line.split(maxsplit=3)
        yield ContractData(
            instrument=Index(symbol, exchange=exchange),
            con_id=int(con_id) or made_up_id(symbol),
            sec_type="IND",
            symbol=symbol,
            local_symbol=symbol,
            trading_class=symbol,
            exchange=exchange,
            primary_exchange="",
            long_name=name,
            trades_as="us_regular",
            valid_exchanges=exchange,
            has_options=symbol == "SPX",
        )
