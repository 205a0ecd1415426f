"""The simulated venue of the backtest and the embedded gateway: matching, commissions, slippage. Sans IO."""

from ibdesk.exchange.bar_meeting import BarMeeting
from ibdesk.exchange.commission import SCHEDULES, CommissionSchedule, FixedCommission, NoCommission, TieredCommission
from ibdesk.exchange.matching import Exchange
from ibdesk.exchange.order_book import OrderBook, VenueEvent
from ibdesk.exchange.slippage import FractionSlippage, NoSlippage, Slippage, TickSlippage
from ibdesk.exchange.ticket import Ticket

__all__ = [
    "SCHEDULES",
    "BarMeeting",
    "CommissionSchedule",
    "Exchange",
    "FixedCommission",
    "FractionSlippage",
    "NoCommission",
    "NoSlippage",
    "OrderBook",
    "Slippage",
    "TickSlippage",
    "Ticket",
    "TieredCommission",
    "VenueEvent",
]
