"""What goes wrong with users, keys and logins.

::

    IbdeskError
    └── AccessError            a change to users or keys cannot be made as asked
        ├── UnknownNameError   there is no user, or no key, of this name
        └── NameTakenError     there is one already
"""

from __future__ import annotations

from ibdesk.errors import IbdeskError


class AccessError(IbdeskError):
    """A change to users or keys cannot be made as asked; the sentence says why."""


class UnknownNameError(AccessError):
    """There is no user, or no key, of this name."""

    def __init__(self, thing: str, name: str) -> None:
        super().__init__(thing, name)
        self.thing, self.name = thing, name

    def __str__(self) -> str:
        return f"there is no {self.thing} {self.name!r}: `ibdesk {self.thing}s list` shows those that there are"


class NameTakenError(AccessError):
    """There is a user, or a key, of this name already."""

    def __init__(self, thing: str, name: str) -> None:
        super().__init__(thing, name)
        self.thing, self.name = thing, name

    def __str__(self) -> str:
        return f"there is a {self.thing} {self.name!r} already: take another name"
