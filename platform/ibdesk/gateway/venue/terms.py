"""The terms of an order beyond side and size, read from its request once."""

from __future__ import annotations

import enum

import msgspec


class TimeInForce(enum.Enum):
    """How long an order may wait."""

    DAY = "DAY"
    """Until the close of the day."""
    GTC = "GTC"
    """Until cancelled."""
    GTD = "GTD"
    """Until the time that the order names."""
    IOC = "IOC"
    """Immediate or cancel: the quantity that does not fill at once is cancelled."""
    FOK = "FOK"
    """Fill or kill: all at once, or nothing."""
    OPG = "OPG"
    """In the opening auction only."""


AT_ONCE = frozenset({TimeInForce.IOC, TimeInForce.FOK, TimeInForce.OPG})
"""Times in force with a single chance to trade."""


class ConditionKind(enum.IntEnum):
    """The subject of an order condition, by its wire number."""

    PRICE = 1
    TIME = 3
    MARGIN = 4
    EXECUTION = 5
    VOLUME = 6
    CHANGE = 7


class Condition(msgspec.Struct, frozen=True, kw_only=True):
    """One condition of an order.

    `joins_and` tells how it is joined to the next one; `instrument` is the one whose market it depends on. `value` is
    a price, a volume, or a change in per cent; `at_ns` (ns UTC) is the time of a time condition. An execution
    condition waits for trades in `symbol` and `sec_type` on `exchange`.
    """

    kind: ConditionKind
    joins_and: bool = True
    is_more: bool = True
    value: float = 0.0
    instrument: str = ""
    method: int = 0
    at_ns: int = 0
    symbol: str = ""
    sec_type: str = ""
    exchange: str = ""


class Algorithm(msgspec.Struct, frozen=True, kw_only=True):
    """One of IB's algorithms and the times between which it may trade (ns UTC); 0 is not set."""

    name: str
    start_ns: int = 0
    end_ns: int = 0


class OrderTerms(msgspec.Struct, frozen=True, kw_only=True):
    """The terms of an order. Prices that the client did not set are `None`; times are ns UTC, 0 when not set.

    `kind` is TWS's name of the type, one of `ibdesk.gateway.venue.kinds.KINDS`.
    """

    kind: str
    limit: float | None = None
    aux: float | None = None
    trail_percent: float | None = None
    trail_stop: float | None = None
    limit_offset: float | None = None
    time_in_force: TimeInForce = msgspec.field(default=TimeInForce.DAY, name="life")
    until_ns: int = 0
    from_ns: int = 0
    outside_rth: bool = False
    parent_id: int = 0
    transmit: bool = True
    oca_group: str = ""
    oca_type: int = 3
    cancels_parent: bool = False
    conditions: tuple[Condition, ...] = ()
    conditions_cancel: bool = False
    conditions_ignore_rth: bool = False
    algorithm: Algorithm | None = None
