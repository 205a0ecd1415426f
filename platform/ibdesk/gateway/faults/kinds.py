"""Every kind of fault, and where it was seen.

=======================  ==============================================================================  ===========
kind                     effect                                                                          seen
=======================  ==============================================================================  ===========
hang_up                  a socket, or all, is closed at once                                             reported
half_open                the socket stays open without any traffic; the id stays in use (326)            reported
refuse_connections       new connections are refused                                                     reported
stall_reads              nothing a client sends is read for a while                                      reported
client_id_in_use         326 although no such client is connected, as after a crash                      documented
reset_port               1300, and all sockets are closed                                                documented
lose_connectivity        1100; orders are accepted, and reported on request only; then 1102 or 1101      documented
restore_connectivity     1102, or 1101 after which market data must be requested again                   documented
break_farm               2103 or 2105, no ticks or no history; then 2104 or 2106                         reported
compete_for_data         10197 for every subscription, and no ticks                                      documented
restart                  the nightly restart; DAY orders end, GTC stay; ids continue, roll back or jump  reported
log_off                  the weekly log-off: 1100, sockets closed, connections refused                   reported
drop delay duplicate     single messages of either direction, by name, client, order                     believed
reorder
drift_clock              TWS's time is ahead or behind                                                   reported
leave_unset              numbers are blank, or one of TWS's marks for a missing number                   captured
lose_acknowledgement     an order works, and TWS never acknowledges it                                   reported
tell_nothing             an order is not reported; requests for orders and executions show it            reported
late_acknowledgement     an order is not reported for 25 s, not even on request; then everything is      reported
late_snapshot            positions are answered as they were before, in spite of later trades            reported
missing_position_end     an answer to a position request has no end                                      reported
execution_before_order   execDetails comes before the first openOrder                                    reported
filled_before_execution  orderStatus Filled comes before execDetails                                     captured
duplicate_executions     executions and commissions come twice                                           reported
correct_execution        the execution comes again as ``.02``; the account follows                       captured
reject_next_order        error 201, then Inactive, for the next new order                                reported
reject_open_order        the same for an order that was accepted before                                  reported
cancel_open_order        Cancelled and 202 without a request                                             documented
fill_and_cancel          a part is filled, the rest cancelled                                            reported
warn_of_order            10349, 399, 404, 2109 with the id of an order that continues to work            reported
set_next_order_id        nextValidId rolled back, or jumped                                              reported
halt                     no quote, no trade, no fill; tick 49                                            documented
go_stale                 clients receive no market data, without any message                             reported
cross                    the bid above the ask                                                           believed
gap                      every price higher or lower from one quote to the next                          believed
=======================  ==============================================================================  ===========
"""

from __future__ import annotations

from ibdesk.gateway.faults.clock import DriftClock
from ibdesk.gateway.faults.fault import Fault
from ibdesk.gateway.faults.figures import LeaveUnset
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

_ALL: tuple[type[Fault], ...] = (
    HangUp,
    HalfOpen,
    RefuseConnections,
    StallReads,
    ClientIdInUse,
    ResetPort,
    LoseConnectivity,
    RestoreConnectivity,
    BreakFarm,
    CompeteForData,
    Restart,
    LogOff,
    DriftClock,
    Drop,
    Delay,
    Duplicate,
    Reorder,
    LeaveUnset,
    LoseAcknowledgement,
    TellNothing,
    LateAcknowledgement,
    LateSnapshot,
    MissingPositionEnd,
    ExecutionBeforeOrder,
    FilledBeforeExecution,
    DuplicateExecutions,
    CorrectExecution,
    RejectNextOrder,
    RejectOpenOrder,
    CancelOpenOrder,
    FillAndCancel,
    WarnOfOrder,
    SetNextOrderId,
    Halt,
    GoStale,
    Cross,
    Gap,
)
KINDS: dict[str, type[Fault]] = {str(kind.__struct_config__.tag): kind for kind in _ALL}
"""Every kind of fault by its name in TOML and in the log."""
