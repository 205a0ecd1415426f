"""The TWS service: the only room that imports ib_async."""

from ibdesk.tws.service import TwsHealth, TwsService
from ibdesk.tws.settings import TwsSettings

__all__ = ["TwsHealth", "TwsService", "TwsSettings"]
