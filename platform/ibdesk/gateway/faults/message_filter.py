"""The rules of message faults: every message in the scope of a fault passes them, in both directions.

A session without active rules has no hook, so that faults cost it nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Protocol

import msgspec

from ibdesk.gateway.faults.passing import PassingMessage, Scope, incoming, outgoing
from ibdesk.gateway.schedule import Schedule
from ibdesk.gateway.session import Session
from ibdesk.gateway.venue.venue import Venue

Onward = Callable[[PassingMessage], None]


class FilterHost(Protocol):
    """The parts of the gateway that the rules need."""

    @property
    def schedule(self) -> Schedule:
        """Return the gateway's schedule."""

    @property
    def venue(self) -> Venue:
        """Return the venue of the orders."""


class Rule:
    """A treatment of messages in a scope. It counts `left` down and ends at zero; None is no limit."""

    def __init__(self, scope: Scope, left: int | None = None) -> None:
        self.scope = scope
        self.left = left
        self.serial = 0
        self.is_over = False

    def concerns(self, passing: PassingMessage) -> bool:
        """Return whether the message is affected."""
        return not self.is_over and self.scope.covers(passing)

    def meet(self, passing: PassingMessage, onward: Onward) -> None:
        """Act on a message; `onward` forwards it to later rules and then to its receiver."""
        raise NotImplementedError

    def after(self, passing: PassingMessage) -> None:
        """Note that a message was sent to its receiver."""

    def end(self) -> None:
        """Send the held messages; called once, at the end of the rule."""

    def spend(self) -> None:
        """Count a message."""
        if self.left is not None:
            self.left -= 1
            self.is_over = self.left <= 0


class MessageFilter:
    """The rules of one gateway, and the sessions whose messages pass them."""

    def __init__(self, host: FilterHost) -> None:
        self._host = host
        self._rules: list[Rule] = []
        self._sessions: dict[Session, None] = {}
        self._made = 0
        # The session whose request is being answered, and the request's name.
        self._serving: tuple[Session | None, str] = (None, "")

    # ---- sessions ---------------------------------------------------------------------------------------------

    def attach(self, session: Session) -> None:
        """Add a session that has sent its client id."""
        self._sessions[session] = None
        self._hook(session)

    def detach(self, session: Session) -> None:
        """Remove a closed session."""
        self._sessions.pop(session, None)
        session.tamper = session.sift = None

    def _hook(self, session: Session) -> None:
        if not any(rule.scope.client in (None, session.client_id) for rule in self._rules):
            session.tamper = session.sift = None
            return
        session.tamper = lambda data: self._leaves(session, data)
        session.sift = lambda payload: self._comes(session, payload)

    # ---- rules ------------------------------------------------------------------------------------------------

    def add(self, rule: Rule, for_seconds: float | None = None) -> None:
        """Add a rule after the existing ones."""
        self._made += 1
        rule.serial = self._made
        self._rules.append(rule)
        for session in self._sessions:
            self._hook(session)
        if for_seconds is not None:
            self._host.schedule.after(for_seconds, lambda: self.remove(rule))

    def remove(self, rule: Rule) -> None:
        """End a rule; further calls have no effect."""
        if rule not in self._rules:
            return
        rule.is_over = True
        self._rules.remove(rule)
        rule.end()
        for session in self._sessions:
            self._hook(session)

    def clear(self) -> None:
        """End every rule."""
        for rule in tuple(self._rules):
            self.remove(rule)

    # ---- messages ---------------------------------------------------------------------------------------------

    def _leaves(self, session: Session, data: bytes) -> None:
        request = self._serving[1] if self._serving[0] is session else ""
        for passing in outgoing(session, data, request, self._host.venue):
            self._pass(passing, serial=0)

    def _comes(self, session: Session, payload: bytes) -> None:
        self._pass(incoming(session, payload, self._host.venue), serial=0)

    def _pass(self, passing: PassingMessage, *, serial: int) -> None:
        """Pass a message to the first rule after `serial` that concerns it, or else to its receiver."""
        for rule in self._rules:
            if rule.serial > serial and rule.concerns(passing):
                rule.meet(passing, partial(self._pass, serial=rule.serial))
                if rule.is_over:
                    self.remove(rule)
                return
        self._leave(passing)

    def _leave(self, passing: PassingMessage) -> None:
        if passing.is_outgoing:
            passing.session.release(passing.data)
        else:
            before, self._serving = self._serving, (passing.session, passing.name)
            try:
                passing.session.serve(passing.data)
            finally:
                self._serving = before
        for rule in tuple(self._rules):
            rule.after(passing)
            if rule.is_over:
                self.remove(rule)


class Held(msgspec.Struct, frozen=True):
    """A message that a rule holds, and the function that forwards it."""

    passing: PassingMessage
    onward: Onward


def let_go(held: list[Held]) -> None:
    """Forward all held messages, in the order of their arrival."""
    waiting = tuple(held)
    held.clear()
    for each in waiting:
        each.onward(each.passing)
