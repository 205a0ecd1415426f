"""A contract with TWS's description of it, beside the instrument that the rest of ibdesk uses."""

from __future__ import annotations

import zlib

import msgspec

from ibdesk.gateway.contracts.hours import Hours, hours_of
from ibdesk.gateway.contracts.rules import MARKET_RULES
from ibdesk.model import AnyInstrument

FIRST_MADE_UP_ID = 900_000_000
_MADE_UP_IDS = 1_200_000_000


def made_up_id(name: str) -> int:
    """Return an id for a contract whose number at IB is unknown here: always the same for one name.

    Two names may get the same id; `ContractBook` then takes the next free one.
    """
    return FIRST_MADE_UP_ID + zlib.crc32(name.encode()) % _MADE_UP_IDS


class Leg(msgspec.Struct, frozen=True):
    """One leg of a combination; `ratio` is its count in one combination, `action` is BUY or SELL."""

    contract: ContractData
    ratio: int
    action: str
    exchange: str

    @property
    def signed_ratio(self) -> int:
        """Return the ratio, negative for a leg that is sold when the combination is bought."""
        return self.ratio if self.action == "BUY" else -self.ratio


class ContractData(msgspec.Struct, frozen=True, kw_only=True):
    """TWS's description of one contract, beside the `instrument` that the rest of ibdesk uses.

    `trades_as` names its hours in `contracts.hours.RULES`, `under_id` an option's underlying instrument. `expiry` is
    the last trading day; `contract_month` is the month in its name, which for energy is a later one.
    """

    instrument: AnyInstrument
    con_id: int
    sec_type: str
    symbol: str
    local_symbol: str
    trading_class: str
    exchange: str
    primary_exchange: str
    long_name: str
    trades_as: str = "us_share"
    expiry: str = ""
    contract_month: str = ""
    last_trade_time: str = ""
    strike: float = 0.0
    right: str = ""
    multiplier: str = ""
    valid_exchanges: str = "SMART"
    industry: str = ""
    category: str = ""
    subcategory: str = ""
    stock_type: str = ""
    market_rule: int = 26
    size_increment: float = 1.0
    price_magnifier: int = 1
    under_con_id: int = 0
    under_symbol: str = ""
    under_id: str = ""
    under_sec_type: str = ""
    isin: str = ""
    has_options: bool = False
    is_expired: bool = False
    legs: tuple[Leg, ...] = ()

    def __post_init__(self) -> None:
        """Set the instrument's price increments by its market rule; a combination has those of its legs."""
        increments = MARKET_RULES.get(self.market_rule)
        if increments is not None and not self.legs and self.instrument.price_increments != increments:
            moved = msgspec.structs.replace(self.instrument, price_increments=increments)
            msgspec.structs.force_setattr(self, "instrument", moved)

    @property
    def id(self) -> str:
        """Return the instrument's name, the key of market data and positions."""
        return self.instrument.id

    @property
    def hours(self) -> Hours:
        """Return its trading hours."""
        return hours_of(self.trades_as)

    @property
    def has_trades(self) -> bool:
        """Return whether it has trades; currencies, options and combinations only have quotes."""
        return self.sec_type not in ("CASH", "OPT", "BAG")

    @property
    def exchanges(self) -> tuple[str, ...]:
        """Return the exchanges to which orders may be routed."""
        return tuple(self.valid_exchanges.split(","))

    def wire(self, *, exchange: str | None = None) -> dict[str, str | int | float]:
        """Return the contract's fields in the format of most messages."""
        return {
            "conId": self.con_id,
            "symbol": self.symbol,
            "secType": self.sec_type,
            "lastTradeDateOrContractMonth": self.expiry,
            "strike": self.strike,
            "right": self.right,
            "multiplier": self.multiplier,
            "exchange": self.exchange if exchange is None else exchange,
            "primaryExchange": self.primary_exchange,
            "currency": self.instrument.currency,
            "localSymbol": self.local_symbol,
            "tradingClass": self.trading_class,
        }

    def at_venue(self) -> str:
        """Return symbol and exchange as in TWS's messages, e.g. ``AAPL@SMART``."""
        return f"{self.symbol}@{self.exchange}"
