"""Orders that belong together: parents with their children, and one-cancels-all groups.

A bracket is a parent and its children, which name it by `parentId`. All of them wait until the one with transmit=True
arrives (documented). The children share an OCA group of type 3 with a name of digits (captured), here the parent's
permanent id. The members of an OCA group are orders of one account with the same ocaGroup (documented).
"""

from __future__ import annotations

from collections.abc import Iterator

from ibdesk.gateway.venue.records import Hold, Key, OrderRecord

CANCELS = 1
"""The OCA type whose first execution cancels the other members; types 2 and 3 reduce them in proportion."""


class Groups:
    """The parents, children and OCA rivals among the orders that are not done."""

    def __init__(self) -> None:
        self._records: dict[Key, OrderRecord] = {}
        self._children: dict[Key, list[Key]] = {}
        self._rivals: dict[tuple[str, str], dict[Key, OrderRecord]] = {}

    def add(self, record: OrderRecord, parent: OrderRecord | None) -> None:
        """Add a new order to its groups."""
        record.oca_group = record.terms.oca_group
        if parent is not None:
            self._records[parent.key] = parent
            self._children.setdefault(parent.key, []).append(record.key)
            record.holds.add(Hold.PARENT)
            record.oca_group = record.oca_group or str(parent.permanent_id)
        self._enroll(record, parent)

    def restore(self, record: OrderRecord, parent: OrderRecord | None) -> None:
        """Add an order of an earlier run to the groups it was in."""
        if parent is not None:
            self._records[parent.key] = parent
            self._children.setdefault(parent.key, []).append(record.key)
        self._enroll(record, parent)

    def _enroll(self, record: OrderRecord, parent: OrderRecord | None) -> None:
        if parent is not None or record.oca_group:
            self._records[record.key] = record
        if record.oca_group:
            self._rivals.setdefault((record.account, record.oca_group), {})[record.key] = record

    def parent(self, record: OrderRecord) -> OrderRecord | None:
        """Return the order's parent, while the order is in a group."""
        return self._records.get((record.client_id, record.terms.parent_id)) if record.terms.parent_id else None

    def children(self, record: OrderRecord) -> list[OrderRecord]:
        """Return the order's children that are not done."""
        return [self._records[key] for key in self._children.get(record.key, ()) if key in self._records]

    def family(self, record: OrderRecord) -> list[OrderRecord]:
        """Return the orders that are transmitted with an order: its parent first, then the parent's children."""
        parent = self.parent(record)
        return [record] if parent is None else [parent, *self.children(parent)]

    def rivals(self, record: OrderRecord) -> Iterator[OrderRecord]:
        """Yield the other members of the order's OCA group."""
        members = self._rivals.get((record.account, record.oca_group), {}) if record.oca_group else {}
        return (other for other in tuple(members.values()) if other is not record)

    def forget(self, record: OrderRecord) -> None:
        """Remove a finished order from its groups."""
        self._records.pop(record.key, None)
        self._children.pop(record.key, None)
        members = self._rivals.get((record.account, record.oca_group))
        if members is not None:
            members.pop(record.key, None)
            if not members:
                del self._rivals[record.account, record.oca_group]


def reduced(remaining: float, part: float, increment: float) -> float:
    """Return the remaining quantity of a rival after `part` (0 to 1) of the order's remaining quantity was executed.

    The result is a whole multiple of the instrument's size increment, rounded down, so that the group never trades more
    than intended. TWS lists shares in steps of 0.0001, but the API takes whole ones (error 10243).
    """
    # Binary fractions may have lost up to a millionth of an increment.
    return int(remaining * (1.0 - part) / increment + 1e-6) * increment
