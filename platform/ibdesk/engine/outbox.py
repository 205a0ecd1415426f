"""What is to be done about the event being handled."""

from __future__ import annotations

from ibdesk.model import Action, Alert, Event, Severity


class Outbox:
    """The event being handled, which is the engine's only clock, and the actions it has caused so far.

    It is open while the event is handled: an action that is added at another time would leave with the next event.
    """

    __slots__ = ("actions", "event", "is_open", "now_ns")

    def __init__(self) -> None:
        self.event: Event | None = None
        # now_ns: the time of the event being handled, or of the last one; ns UTC, 0 before the first.
        self.now_ns = 0
        self.is_open = False
        self.actions: list[Action] = []

    @property
    def correlation_id(self) -> str:
        """The request from outside that the event being handled goes back to, empty when it is no command."""
        return getattr(self.event, "correlation_id", "")

    def add(self, action: Action) -> None:
        """Have this done, after what is to be done already."""
        self.actions.append(action)

    def alert(self, origin: str, text: str, severity: Severity) -> None:
        """Tell a person."""
        self.actions.append(Alert(origin=origin, text=text, at_ns=self.now_ns, severity=severity))
