"""The fault of unset numbers: messages with TWS's marks for "no number" in place of numbers."""

from __future__ import annotations

import random
from typing import Annotated, Self

import msgspec

from ibdesk.gateway.faults.message_filter import Onward, Rule
from ibdesk.gateway.faults.messages import MessageFault, SharedRule
from ibdesk.gateway.faults.passing import PassingMessage, Scope
from ibdesk.gateway.protocol.codec import Texts, Value, decode, encode, plan_of
from ibdesk.gateway.protocol.fields import UNSET_NUMBER_TEXT, Field, FieldKind
from ibdesk.gateway.protocol.outgoing import OUTGOING_BY_NAME
from ibdesk.gateway.schedule import Schedule

# TWS's marks for a missing number.
_MARKS = ("", UNSET_NUMBER_TEXT, "2147483647", "9223372036854775807", "-9223372036854775808")
_TAMPERED = ("position", "portfolioValue", "commissionReport", "accountValue", "tickPrice")
# Numbers that are sent as text.
_WORDED = {"accountValue": ("value",)}


class LeaveUnset(MessageFault, frozen=True, kw_only=True):
    """Messages carry `text` in place of their numbers, or only of those in `fields`."""

    fields: Annotated[tuple[str, ...], msgspec.Meta(max_length=50)] = ()
    text: Annotated[str, msgspec.Meta(max_length=50)] = UNSET_NUMBER_TEXT

    def rule(self, scope: Scope, chance: random.Random, schedule: Schedule) -> Rule:  # noqa: ARG002
        """Return the rule of this fault."""
        return UnsetRule(scope, self.count or None, chance, self.share, fields=self.fields, text=self.text)

    @classmethod
    def drawn(cls, chance: random.Random) -> Self:
        """Return one of a message whose numbers a client shows."""
        return cls(messages=(chance.choice(_TAMPERED),), count=chance.randint(1, 5), text=chance.choice(_MARKS))


class UnsetRule(SharedRule):
    """Overwrites the numbers of messages."""

    def __init__(
        self,
        scope: Scope,
        left: int | None,
        chance: random.Random,
        share: float,
        *,
        fields: tuple[str, ...],
        text: str,
    ) -> None:
        super().__init__(scope, left, chance, share)
        self._fields = fields
        self._text = text

    def meet(self, passing: PassingMessage, onward: Onward) -> None:
        """Overwrite the numbers of a message; a client's message is forwarded unchanged."""
        self.spend()
        message = OUTGOING_BY_NAME.get(passing.name) if passing.is_outgoing else None
        if message is None:
            onward(passing)
            return
        version = passing.session.version
        numbers = [
            entry.name
            for entry in plan_of(message, version)
            if isinstance(entry, Field) and entry.kind in (FieldKind.NUMBER, FieldKind.SIZE)
        ]
        names = self._fields or (*numbers, *_WORDED.get(passing.name, ()))
        texts = decode(message, passing.texts(), version)
        onward(msgspec.structs.replace(passing, data=encode(message, _values(texts, names, self._text), version)))


def _values(texts: Texts, names: tuple[str, ...], text: str) -> dict[str, Value]:
    """Return a message's texts with those of some fields replaced."""
    values: dict[str, Value] = dict(texts.items())
    return values | {name: text for name in names if name in texts}
