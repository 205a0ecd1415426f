"""The TWS service: the only room that imports ib_async."""

from ibdesk.tws.fence import Fence
from ibdesk.tws.matches import Match
from ibdesk.tws.service import TwsHealth, TwsService
from ibdesk.tws.settings import TwsSettings

__all__ = ["Fence", "Match", "TwsHealth", "TwsService", "TwsSettings"]
