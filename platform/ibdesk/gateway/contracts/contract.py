"""One contract as TWS describes it: the numbers and texts beside the instrument it is to the rest of ibdesk."""

from __future__ import annotations

import zlib

import msgspec

from ibdesk.gateway.contracts.hours import Hours, hours_of
from ibdesk.gateway.contracts.rules import MARKET_RULES
from ibdesk.model import AnyInstrument

FIRST_MADE_UP_ID = 900_000_000
_MADE_UP_IDS = 1_200_000_000


def made_up_id(name: str) -> int:
    """Return an id for a contract whose number at IB is not known here: always the same for one name.

    Two names may get the same one; `ContractBook` then counts on to the next that is free.
    """
    return FIRST_MADE_UP_ID + zlib.crc32(name.encode()) % _MADE_UP_IDS


class Leg(msgspec.Struct, frozen=True):
    """One part of a combination; `ratio` is how many of it go into one combination, `action` is BUY or SELL."""

    contract: ContractData
    ratio: int
    action: str
    exchange: str

    @property
    def signed_ratio(self) -> int:
        """Return the ratio, negative for a leg that is sold when the combination is bought."""
        return self.ratio if self.action == "BUY" else -self.ratio


class ContractData(msgspec.Struct, frozen=True, kw_only=True):
    """What TWS tells of one contract, beside the `instrument` it is to the rest of ibdesk.

    `trades_as` names its hours in `contracts.hours.RULES`, `under_id` the instrument that an option is on. `expiry` is
    the last trading day, `contract_month` the month it is called by, which for energy is a later one.
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
        """Give the instrument the price increments of its market rule; a combination has those of its legs."""
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
        """Return when it trades."""
        return hours_of(self.trades_as)

    @property
    def has_trades(self) -> bool:
        """Return whether the market prints trades; currencies, options and combinations only have quotes."""
        return self.sec_type not in ("CASH", "OPT", "BAG")

    @property
    def exchanges(self) -> tuple[str, ...]:
        """Return the venues it may be routed to."""
        return tuple(self.valid_exchanges.split(","))

    def wire(self, *, exchange: str | None = None) -> dict[str, str | int | float]:
        """Return the contract's fields as most messages carry them."""
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
        """Return symbol and venue as TWS names them in its texts, e.g. ``AAPL@SMART``."""
        return f"{self.symbol}@{self.exchange}"
