"""The actions caused by the current event."""

from __future__ import annotations

from ibdesk.model import Action, Alert, Event, Severity


class Outbox:
    """The current event, which is the engine's only clock, and the actions it has caused so far.

    It is open while the event is handled: an action added at another time would leave with the next event.
    """

    __slots__ = ("actions", "event", "is_open", "now_ns")

    def __init__(self) -> None:
        self.event: Event | None = None
        # The time of the current or last event; ns UTC, 0 before the first.
        self.now_ns = 0
        self.is_open = False
        self.actions: list[Action] = []

    @property
    def correlation_id(self) -> str:
        """The outside request that led to the current event, empty if it is not a command."""
        return getattr(self.event, "correlation_id", "")

    def add(self, action: Action) -> None:
        """Append an action."""
        self.actions.append(action)

    def alert(self, origin: str, text: str, severity: Severity) -> None:
        """Send an alert to people."""
        self.actions.append(Alert(origin=origin, text=text, at_ns=self.now_ns, severity=severity))
