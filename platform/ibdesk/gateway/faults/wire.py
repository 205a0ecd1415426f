"""Where messages are tampered with: every message of a client in the scope of a fault passes the rules, both ways.

While no rule is about for a client, its session has no hook set and pays nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Protocol

import msgspec

from ibdesk.gateway.faults.passing import Passing, Scope, incoming, outgoing
from ibdesk.gateway.schedule import Schedule
from ibdesk.gateway.session import Session
from ibdesk.gateway.venue.venue import Venue

Onward = Callable[[Passing], None]


class Ground(Protocol):
    """What the wire needs of the gateway."""

    @property
    def schedule(self) -> Schedule:
        """Return the gateway's appointments."""

    @property
    def venue(self) -> Venue:
        """Return where orders are worked."""


class Rule:
    """What is done to messages in a scope. It counts down `left` and is over at zero; nothing to count is endless."""

    def __init__(self, scope: Scope, left: int | None = None) -> None:
        self.scope = scope
        self.left = left
        self.serial = 0
        self.is_over = False

    def concerns(self, passing: Passing) -> bool:
        """Return whether the message is one to act on."""
        return not self.is_over and self.scope.covers(passing)

    def meet(self, passing: Passing, onward: Onward) -> None:
        """Act on a message; `onward` lets it pass, to the rules that came later and then to where it goes."""
        raise NotImplementedError

    def after(self, passing: Passing) -> None:
        """Hear that a message has left for its receiver."""

    def end(self) -> None:
        """Let go of what is held; called once, when the rule is over."""

    def spend(self) -> None:
        """Count one message."""
        if self.left is not None:
            self.left -= 1
            self.is_over = self.left <= 0


class Wire:
    """The rules of one gateway, and the sessions whose messages pass them."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground
        self._rules: list[Rule] = []
        self._sessions: dict[Session, None] = {}
        self._made = 0
        # The session whose request is being answered, and the request's name.
        self._serving: tuple[Session | None, str] = (None, "")

    # ---- sessions ---------------------------------------------------------------------------------------------

    def attach(self, session: Session) -> None:
        """Take a session that has said its client id."""
        self._sessions[session] = None
        self._hook(session)

    def detach(self, session: Session) -> None:
        """Forget a session that is closed."""
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
        """Have messages pass this rule too, after those that are there already."""
        self._made += 1
        rule.serial = self._made
        self._rules.append(rule)
        for session in self._sessions:
            self._hook(session)
        if for_seconds is not None:
            self._ground.schedule.after(for_seconds, lambda: self.remove(rule))

    def remove(self, rule: Rule) -> None:
        """End a rule; doing so twice changes nothing."""
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
        for passing in outgoing(session, data, request, self._ground.venue):
            self._pass(passing, serial=0)

    def _comes(self, session: Session, payload: bytes) -> None:
        self._pass(incoming(session, payload, self._ground.venue), serial=0)

    def _pass(self, passing: Passing, *, serial: int) -> None:
        """Show a message to the first rule after `serial` that concerns it; without one it leaves."""
        for rule in self._rules:
            if rule.serial > serial and rule.concerns(passing):
                rule.meet(passing, partial(self._pass, serial=rule.serial))
                if rule.is_over:
                    self.remove(rule)
                return
        self._leave(passing)

    def _leave(self, passing: Passing) -> None:
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
    """A message that a rule keeps back, and its way on."""

    passing: Passing
    onward: Onward


def let_go(held: list[Held]) -> None:
    """Send everything that is held on its way, in the order it came."""
    waiting = tuple(held)
    held.clear()
    for each in waiting:
        each.onward(each.passing)
