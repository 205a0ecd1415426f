"""Errors about users, keys and logins.

::

    IbdeskError
    └── AccessError            a change to users or keys is not possible
        ├── UnknownNameError   there is no user or key with this name
        └── NameTakenError     there is a user or key with this name already
"""

from __future__ import annotations

from ibdesk.errors import IbdeskError


class AccessError(IbdeskError):
    """A change to users or keys is not possible; the message says why."""


class UnknownNameError(AccessError):
    """There is no user or key with this name."""

    def __init__(self, thing: str, name: str) -> None:
        super().__init__(thing, name)
        self.thing, self.name = thing, name

    def __str__(self) -> str:
        return f"there is no {self.thing} {self.name!r}: `ibdesk {self.thing}s list` shows all"


class NameTakenError(AccessError):
    """There is a user or key with this name already."""

    def __init__(self, thing: str, name: str) -> None:
        super().__init__(thing, name)
        self.thing, self.name = thing, name

    def __str__(self) -> str:
        return f"there is a {self.thing} {self.name!r} already: choose another name"
