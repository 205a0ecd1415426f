"""Comparison of a client's requests with recorded ones, and translation of ids if nothing else differs.

Another run of a program may use other ids for requests and orders. The first time a recorded id appears, it is bound to
the client's id; from then on both must agree, and answers carry the client's id.
"""

from __future__ import annotations

from collections.abc import Iterator

from ibdesk.gateway.protocol.codec import Texts, decode, encode
from ibdesk.gateway.protocol.fields import UNSET_TEXTS, MessageSpec
from ibdesk.gateway.protocol.framing import ProtocolError, integer, join
from ibdesk.gateway.protocol.incoming import INCOMING
from ibdesk.gateway.protocol.outgoing import OUTGOING

# The sequence of ids that a field belongs to. An error's id may belong to either.
_REQUEST, _ORDER, _CLIENT = "request", "order", "client"
_SEQUENCES = {"reqId": _REQUEST, "orderId": _ORDER, "parentId": _ORDER, "clientId": _CLIENT}
_EITHER = {("errMsg", "id")}
_NO_IDS = {("reqId", "-1"), ("parentId", "0"), ("parentId", "")}
# Fields that differ between versions of a client library without a different meaning.
_IGNORED = frozenset({"version", "optCapab"})


class IdTranslation:
    """The running client's id for each recorded id."""

    def __init__(self) -> None:
        self._live: dict[tuple[str, str], str] = {}
        self._recorded: dict[tuple[str, str], str] = {}

    def agree(self, recorded: list[str], live: list[str], version: int) -> bool:
        """Return whether a client's message requests the same as the recorded one; if so, bind its ids."""
        message = _message(INCOMING, recorded)
        if message is None or recorded[0] != live[0]:
            return recorded == live
        try:
            pairs = list(_pairs(decode(message, recorded, version), decode(message, live, version)))
        except ProtocolError:
            return recorded == live
        fresh: dict[tuple[str, str], str] = {}
        for name, was, is_now in pairs:
            sequence = _SEQUENCES.get(name)
            if sequence is None or is_now is None or was is None or (name, was) in _NO_IDS:
                if name not in _IGNORED and not _same(was, is_now):
                    return False
            elif not self._may_be(sequence, was, is_now):
                return False
            else:
                fresh[sequence, was] = is_now
        self._bind(fresh)
        return True

    def carried_over(self, recorded: list[str], version: int) -> bytes:
        """Return the frame of a recorded answer with the client's ids in place of the recorded ones."""
        message = _message(OUTGOING, recorded)
        if message is None or all(was == is_now for (_, was), is_now in self._live.items()):
            return join(recorded)
        try:
            found = decode(message, recorded, version)
        except ProtocolError:
            return join(recorded)
        changed = dict(found)
        for name, text in found.items():
            if isinstance(text, str):
                changed[name] = self._carried(message.name, name, text, found)
        return encode(message, changed, version)

    def _may_be(self, sequence: str, was: str, is_now: str) -> bool:
        known, taken = self._live.get((sequence, was)), self._recorded.get((sequence, is_now))
        return known in (None, is_now) and taken in (None, was)

    def _bind(self, fresh: dict[tuple[str, str], str]) -> None:
        for (sequence, was), is_now in fresh.items():
            self._live[sequence, was] = is_now
            self._recorded[sequence, is_now] = was

    def _carried(self, message: str, name: str, text: str, found: Texts) -> str:
        sequence = _SEQUENCES.get(name)
        if (message, name) in _EITHER:
            return self._live.get((_ORDER, text)) or self._live.get((_REQUEST, text)) or text
        if sequence is None or (sequence == _ORDER and not self._is_own(found)):
            return text
        return self._live.get((sequence, text), text)

    def _is_own(self, found: Texts) -> bool:
        """Return whether an order belongs to the client, as far as the message shows."""
        client = found.get("clientId")
        return client is None or (_CLIENT, str(client)) in self._live


def _message(table: dict[int, MessageSpec], texts: list[str]) -> MessageSpec | None:
    return table.get(integer(texts[0]) or 0)


def _pairs(recorded: Texts, live: Texts) -> Iterator[tuple[str, str | None, str | None]]:
    """Yield every field by name with both values; None is a field that one side does not have."""
    for name in dict.fromkeys([*recorded, *live]):
        was, is_now = recorded.get(name), live.get(name)
        if isinstance(was, list) and isinstance(is_now, list):
            # A different number of rows shows in their count, which is a field of its own.
            for one, other in zip(was, is_now, strict=False):
                yield from _pairs(one, other)
        elif not isinstance(was, list) and not isinstance(is_now, list):
            yield name, was, is_now


def _same(was: str | None, is_now: str | None) -> bool:
    """Return whether two texts have the same meaning: equal, both unset, or the same number."""
    if was == is_now:
        return True
    if was is None or is_now is None:
        return False
    if was in UNSET_TEXTS or is_now in UNSET_TEXTS:
        return was in UNSET_TEXTS and is_now in UNSET_TEXTS
    try:
        return float(was) == float(is_now)
    except ValueError:
        return False
