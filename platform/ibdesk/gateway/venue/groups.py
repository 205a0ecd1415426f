"""Orders that belong together: parents with their children, and one-cancels-all groups.

A bracket is a parent and its children, which name it by `parentId`; all of them wait until the one with transmit=True
comes (documented). Children share an OCA group named by digits (captured), here the parent's permanent id, and of type
3. The members of an OCA group are orders of one account with the same ocaGroup (documented).
"""

from __future__ import annotations

from collections.abc import Iterator

from ibdesk.gateway.venue.records import Hold, Key, OrderRecord

CANCELS = 1
"""The OCA type whose first execution cancels the rest; types 2 and 3 reduce the rest in proportion."""


class Groups:
    """Who is whose parent and whose rival among the orders that are not done."""

    def __init__(self) -> None:
        self._records: dict[Key, OrderRecord] = {}
        self._children: dict[Key, list[Key]] = {}
        self._rivals: dict[tuple[str, str], dict[Key, OrderRecord]] = {}

    def add(self, record: OrderRecord, parent: OrderRecord | None) -> None:
        """Take a new order into its groups."""
        record.oca_group = record.terms.oca_group
        if parent is not None:
            self._records[parent.key] = parent
            self._children.setdefault(parent.key, []).append(record.key)
            record.holds.add(Hold.PARENT)
            record.oca_group = record.oca_group or str(parent.permanent_id)
        self._enroll(record, parent)

    def restore(self, record: OrderRecord, parent: OrderRecord | None) -> None:
        """Take an order of an earlier run into the groups it was in."""
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
        """Return the order it is attached to, while it is in a group."""
        return self._records.get((record.client_id, record.terms.parent_id)) if record.terms.parent_id else None

    def children(self, record: OrderRecord) -> list[OrderRecord]:
        """Return the orders that are attached to it and not done."""
        return [self._records[key] for key in self._children.get(record.key, ()) if key in self._records]

    def family(self, record: OrderRecord) -> list[OrderRecord]:
        """Return what is transmitted together with an order: its parent first, then that one's children."""
        parent = self.parent(record)
        return [record] if parent is None else [parent, *self.children(parent)]

    def rivals(self, record: OrderRecord) -> Iterator[OrderRecord]:
        """Yield the other members of its OCA group."""
        members = self._rivals.get((record.account, record.oca_group), {}) if record.oca_group else {}
        return (other for other in tuple(members.values()) if other is not record)

    def forget(self, record: OrderRecord) -> None:
        """Take an order that is done out of its groups."""
        self._records.pop(record.key, None)
        self._children.pop(record.key, None)
        members = self._rivals.get((record.account, record.oca_group))
        if members is not None:
            members.pop(record.key, None)
            if not members:
                del self._rivals[record.account, record.oca_group]


def reduced(remaining: float, part: float, increment: float) -> float:
    """Return what is left of a rival once `part` (0 to 1) of what an order had left was executed.

    It stays in whole multiples of the contract's size increment, rounded down, so that the group never trades more
    than it was meant to.
    """
    # A millionth of an increment is what binary fractions may have lost on the way.
    return int(remaining * (1.0 - part) / increment + 1e-6) * increment
