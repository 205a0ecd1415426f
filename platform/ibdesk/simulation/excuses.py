"""The faults and outside trades that excuse a promise, each from its moment on."""

from __future__ import annotations

from ibdesk.simulation.engine_process import CLIENT
from ibdesk.simulation.guardian_process import GUARDIAN_CLIENT
from ibdesk.simulation.plan import AnyStep, Misbehave
from ibdesk.simulation.truth import Executed

# Faults that lose or change TWS's messages beyond what TCP can: even a comparison's answer may lack something.
_LOSSY = frozenset({"drop", "reorder", "leave_unset", "delay"})


class Excuses:
    """The events so far after which a promise need not hold in full."""

    def __init__(self) -> None:
        # is_lossy: whether answers of TWS may lack something; false after the faults have ended.
        self.is_lossy = False
        # has_lost_power: whether the last seconds of a journal are lost.
        self.has_lost_power = False
        # unrecorded: orders that left in those seconds.
        self.unrecorded: set[str] = set()
        self.is_corrected = False
        # outside_ns: when an outsider last traded, 0 for never; guardian_ns: the same for the guardian.
        self.outside_ns = self.guardian_ns = 0

    def strikes(self, step: AnyStep) -> None:
        """Record a step of the plan that happens now."""
        if isinstance(step, Misbehave):
            self.is_lossy = self.is_lossy or step.fault["kind"] in _LOSSY
            self.is_corrected = self.is_corrected or step.fault["kind"] == "correct_execution"

    def calms_down(self) -> None:
        """Record that all faults have ended."""
        self.is_lossy = False

    def executed(self, executed: Executed) -> None:
        """Record the trader of an execution."""
        if executed.client_id == GUARDIAN_CLIENT:
            self.guardian_ns = executed.at_ns
        elif executed.client_id != CLIENT:
            self.outside_ns = executed.at_ns

    @property
    def is_alone(self) -> bool:
        """Return whether only the desk has traded so far, and nothing was corrected."""
        return not (self.outside_ns or self.guardian_ns or self.is_corrected)
