"""The TWS service: the only package that imports ib_async."""

from typing import TYPE_CHECKING

from ibdesk.lazy import at_first_use

if TYPE_CHECKING:
    from ibdesk.tws.fence import Fence
    from ibdesk.tws.health import TwsHealth
    from ibdesk.tws.matches import Match
    from ibdesk.tws.service import TwsService
    from ibdesk.tws.settings import TwsSettings

__all__ = ["Fence", "Match", "TwsHealth", "TwsService", "TwsSettings"]

__getattr__, __dir__ = at_first_use(__name__, __file__)
