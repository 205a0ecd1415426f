"""The promises that must hold when a desk has compared its books with TWS and trades again."""

from __future__ import annotations

from collections.abc import Callable, Container

from ibdesk.gateway.listening import Peer, payloads
from ibdesk.gateway.protocol.codec import decode
from ibdesk.gateway.protocol.framing import split
from ibdesk.gateway.protocol.incoming import INCOMING
from ibdesk.gateway.protocol.outgoing import OUTGOING
from ibdesk.simulation.excuses import Excuses
from ibdesk.simulation.truth import Executed, Truth

_REQUEST_EXECUTIONS, _EXECUTION, _END = b"7\0", b"11\0", b"55\0"


class ComparisonChecks:
    """Tracks the executions that clients request and receive, and checks that all are booked when a link comes up."""

    def __init__(self, truth: Truth, excuses: Excuses, report: Callable[[str, str], None]) -> None:
        self._truth, self._excuses, self._report = truth, excuses, report
        # _asked_ns: when a client requested all executions, by request; _answered_ns: when the last completely answered
        # request came; _told_ns: when an execution was last sent to a client.
        self._asked_ns: dict[tuple[int, str], int] = {}
        self._answered_ns: dict[int, int] = {}
        self._told_ns: dict[tuple[int, str], int] = {}

    def client_sent(self, peer: Peer, payload: bytes, now_ns: int) -> None:
        """Record a client's request for executions."""
        if payload.startswith(_REQUEST_EXECUTIONS):
            fields = decode(INCOMING[7], split(payload), peer.version)
            if not fields["time"]:
                self._asked_ns[peer.client_id, str(fields["reqId"])] = now_ns

    def gateway_sent(self, peer: Peer, frames: bytes, now_ns: int) -> None:
        """Record the executions sent to a client, and the end of an answer."""
        for payload in payloads(frames):
            if payload.startswith(_EXECUTION):
                told = decode(OUTGOING[11], split(payload), peer.version)
                name = str(told["execId"]).rpartition(".")[0]
                self._told_ns[peer.client_id, name] = now_ns
            elif payload.startswith(_END):
                number = str(decode(OUTGOING[55], split(payload), peer.version)["reqId"])
                asked_ns = self._asked_ns.pop((peer.client_id, number), None)
                if asked_ns is not None:
                    self._answered_ns[peer.client_id] = asked_ns

    def told_ns(self, client_id: int, name: str) -> int:
        """Return when a client was last sent an execution, 0 if never."""
        return self._told_ns.get((client_id, name), 0)

    def came_up(self, client_id: int, booked: Container[str], syncing_ns: int) -> None:
        """Check that all executions before the comparison began are booked."""
        if self._excuses.is_lossy:
            return
        lacking = [
            each
            for each in self._truth.executions.values()
            if each.client_id == client_id and each.at_ns < syncing_ns and each.name not in booked
            if not self._is_kept_back(client_id, each, syncing_ns)
        ]
        if lacking:
            facts = f"{len(lacking)} executions are not booked: {lacking[0]}"
            self._report("3: the book equals the broker's before trading resumes", facts)

    def _is_kept_back(self, client_id: int, executed: Executed, syncing_ns: int) -> bool:
        """Return whether TWS answered a request of this comparison for all executions and left this one out.

        The fault `late_acknowledgement` does that: a desk cannot book an execution that TWS withholds even on request.
        """
        is_told = self._told_ns.get((client_id, executed.name), 0) >= syncing_ns
        return self._answered_ns.get(client_id, 0) >= syncing_ns and not is_told
