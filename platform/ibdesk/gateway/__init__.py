"""The embedded gateway: a TWS on a TCP port that unmodified TWS clients connect to and trade on paper.

It speaks the text protocol of server versions 157 to 178 and plays a market of its own on a clock that may run faster
than the wall clock: a seeded random walk (`RandomWalk`), real bars (`Replay`), or the quotes and trades of a test
(`MarketScript`). `Gateway` runs it in an event loop; `GatewayThread` runs it beside a program that blocks; `Faults` and
a `FaultScript` make it fail in the ways of `ibdesk.gateway.faults.kinds`. `ibdesk.testing` provides it to pytest.

README.md beside this module lists every behavior and where it was seen.
"""

from typing import TYPE_CHECKING

from ibdesk.lazy import at_first_use

if TYPE_CHECKING:
    from ibdesk.gateway.faults.chance import random_script
    from ibdesk.gateway.faults.faults import Faults
    from ibdesk.gateway.faults.script import FaultScript
    from ibdesk.gateway.make import make_gateway, run_gateway
    from ibdesk.gateway.market.replay import Replay
    from ibdesk.gateway.market.script import MarketScript
    from ibdesk.gateway.market.source import MarketSource
    from ibdesk.gateway.market.walk import RandomWalk
    from ibdesk.gateway.market.walks import Walk
    from ibdesk.gateway.pacing import Pacing
    from ibdesk.gateway.protocol.framing import ProtocolError
    from ibdesk.gateway.refusal import RefusedError
    from ibdesk.gateway.server import Gateway
    from ibdesk.gateway.settings import GatewaySettings
    from ibdesk.gateway.thread import GatewayThread

__all__ = [
    "FaultScript",
    "Faults",
    "Gateway",
    "GatewaySettings",
    "GatewayThread",
    "MarketScript",
    "MarketSource",
    "Pacing",
    "ProtocolError",
    "RandomWalk",
    "RefusedError",
    "Replay",
    "Walk",
    "make_gateway",
    "random_script",
    "run_gateway",
]

__getattr__, __dir__ = at_first_use(__name__, __file__)
