"""The embedded gateway: a TWS on a TCP port that unmodified TWS clients connect to and trade on paper.

It speaks the text protocol of server versions 157 to 178 and plays a market of its own, a seeded random walk or a
replay of real bars, on a clock that may run faster than the wall's. `Gateway` is it, in an event loop;
`GatewayThread` runs it beside a program that blocks; `Faults` makes it go wrong.

Clients that were tried unmodified: ib_async 2.1, in the tests; IB's own ibapi 10.50 once by hand, with some thirty
kinds of requests and no message it could not decode.

How far to trust what it does, by where each behavior was seen:

==========================================================  ============================================
behavior                                                    seen
==========================================================  ============================================
field order and number of every message                     captured, and by the clients above
greeting, first messages after startApi                     captured
MKT: PreSubmitted, execution, Filled, commission            captured
LMT: PreSubmitted then Submitted; STP shown twice           captured
cancel: orderStatus Cancelled, then error 202               captured
kind of value in each field of openOrder, completedOrder,   captured; a test compares them
execDetails, orderStatus, position, commissionReport
rejection: error 201, then Inactive                         reported
errors 103 104 105 110 135 200 300 310 320 321 322 326      documented; texts of 200, 321, 322 captured
errors 10147, 10148                                         captured
errors 354 for depth, 366                                   documented
errors 365, 387, 420, 434; 162 for a span too long          believed
error 162 for no data, and on cancelling live history       reported
1100, then 1101 (subscriptions gone) or 1102                documented
1101 also ends histories kept up to date                    believed
5-second bar without a trade is flat, volume 0              believed
volume, average, count of -1 where bars show no trades      reported for live history, believed for bars
last bar of a history up to now is unfinished               believed
account figures every 180 s, profit every second            documented
margin: 25 % of shares, 6 % of futures, 3 % of currencies;  believed; a simple rule in the place of IB's
working orders do not count
orders during 1100 are taken, and told by requests only     reported
no closing hours: useRTH changes nothing, DAY never ends    a choice of the gateway
executions at the quote's own side, in full                 a choice; `partial` takes the displayed size
==========================================================  ============================================

Not here yet. Orders other than MKT, LMT, STP and STP LMT, groups of orders (parentId, transmit=False), depth, scanners,
news articles and fundamentals are answered with an error that says so; options are unknown contracts; requests are
not paced.
"""

from ibdesk.gateway.faults.faults import Faults
from ibdesk.gateway.market.replay import Replay
from ibdesk.gateway.market.source import MarketSource
from ibdesk.gateway.market.walk import RandomWalk
from ibdesk.gateway.pacing import Pacing
from ibdesk.gateway.protocol.framing import ProtocolError
from ibdesk.gateway.refusal import RefusedError
from ibdesk.gateway.server import Gateway
from ibdesk.gateway.settings import GatewaySettings, make_gateway, run_gateway
from ibdesk.gateway.thread import GatewayThread

__all__ = [
    "Faults",
    "Gateway",
    "GatewaySettings",
    "GatewayThread",
    "MarketSource",
    "Pacing",
    "ProtocolError",
    "RandomWalk",
    "RefusedError",
    "Replay",
    "make_gateway",
    "run_gateway",
]
