"""Faults of the gateway: their kinds, scripts of them, and the switches of one gateway."""

from ibdesk.gateway.faults.chance import random_script
from ibdesk.gateway.faults.clock import DriftClock
from ibdesk.gateway.faults.fault import Fault
from ibdesk.gateway.faults.faults import Faults
from ibdesk.gateway.faults.figures import LeaveUnset
from ibdesk.gateway.faults.kinds import KINDS
from ibdesk.gateway.faults.late import LateAcknowledgement, LateSnapshot, MissingPositionEnd
from ibdesk.gateway.faults.links import (
    BreakFarm,
    ClientIdInUse,
    CompeteForData,
    HalfOpen,
    HangUp,
    LogOff,
    LoseConnectivity,
    RefuseConnections,
    ResetPort,
    Restart,
    RestoreConnectivity,
    StallReads,
)
from ibdesk.gateway.faults.market import Cross, Gap, GoStale, Halt
from ibdesk.gateway.faults.messages import Delay, Drop, Duplicate, Reorder
from ibdesk.gateway.faults.orders import (
    CancelOpenOrder,
    CorrectExecution,
    FillAndCancel,
    RejectNextOrder,
    RejectOpenOrder,
    SetNextOrderId,
    WarnOfOrder,
)
from ibdesk.gateway.faults.reports import (
    DuplicateExecutions,
    ExecutionBeforeOrder,
    FilledBeforeExecution,
    LoseAcknowledgement,
    TellNothing,
)
from ibdesk.gateway.faults.script import After, At, FaultScript, OnMessage, OnOrder

__all__ = [
    "KINDS",
    "After",
    "At",
    "BreakFarm",
    "CancelOpenOrder",
    "ClientIdInUse",
    "CompeteForData",
    "CorrectExecution",
    "Cross",
    "Delay",
    "DriftClock",
    "Drop",
    "Duplicate",
    "DuplicateExecutions",
    "ExecutionBeforeOrder",
    "Fault",
    "FaultScript",
    "Faults",
    "FillAndCancel",
    "FilledBeforeExecution",
    "Gap",
    "GoStale",
    "HalfOpen",
    "Halt",
    "HangUp",
    "LateAcknowledgement",
    "LateSnapshot",
    "LeaveUnset",
    "LogOff",
    "LoseAcknowledgement",
    "LoseConnectivity",
    "MissingPositionEnd",
    "OnMessage",
    "OnOrder",
    "RefuseConnections",
    "RejectNextOrder",
    "RejectOpenOrder",
    "Reorder",
    "ResetPort",
    "Restart",
    "RestoreConnectivity",
    "SetNextOrderId",
    "StallReads",
    "TellNothing",
    "WarnOfOrder",
    "random_script",
]
