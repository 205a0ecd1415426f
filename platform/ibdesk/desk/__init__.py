"""The desk: one engine and one TWS link on their own thread, and the handle on them."""

from typing import TYPE_CHECKING

from ibdesk.lazy import at_first_use

if TYPE_CHECKING:
    from ibdesk.desk.answers import (
        DeskHealth,
        ExposureInfo,
        HaltInfo,
        InstrumentInfo,
        LaneInfo,
        LogLine,
        OrderInfo,
        ProcessInfo,
        RiskInfo,
        RunDetail,
        RunInfo,
        RunLog,
    )
    from ibdesk.desk.attached import AttachedDesk
    from ibdesk.desk.desk import Desk
    from ibdesk.desk.handle import AioDesk, DeskHandle, DeskState
    from ibdesk.desk.latency import LatencySummary
    from ibdesk.desk.settings import DeskSettings

__all__ = [
    "AioDesk",
    "AttachedDesk",
    "Desk",
    "DeskHandle",
    "DeskHealth",
    "DeskSettings",
    "DeskState",
    "ExposureInfo",
    "HaltInfo",
    "InstrumentInfo",
    "LaneInfo",
    "LatencySummary",
    "LogLine",
    "OrderInfo",
    "ProcessInfo",
    "RiskInfo",
    "RunDetail",
    "RunInfo",
    "RunLog",
]

__getattr__, __dir__ = at_first_use(__name__, __file__)
