"""The desks that are open in this process: opening one again returns it, and never another one."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any, Protocol, TypeVar

from ibdesk.desk.settings import DeskSettings
from ibdesk.errors import DeskError


class OpenDesk(Protocol):
    """The part of a desk that `OpenDesks` uses."""

    settings: DeskSettings

    @property
    def is_open(self) -> bool:
        """Return whether it can be used."""

    @property
    def account_id(self) -> str:
        """Return the account that it trades."""


D = TypeVar("D", bound=OpenDesk)
# Settings that are compared only in one mode: an embedded gateway has its own address, and only its desk has a gateway.
_OF_TWS, _OF_GATEWAY = ("tws.host", "tws.port", "tws.client_id", "tws.account"), "gateway."
_SHOWN = 4


class OpenDesks:
    """The open desks of a process. Two threads that open the same desk receive one."""

    def __init__(self) -> None:
        self._desks: list[OpenDesk] = []
        self._turn = threading.Lock()

    def get(self, settings: DeskSettings, kind: type[D], make: Callable[[], D]) -> D:
        """Return the open desk of these settings, or the one that `make` opens.

        Raises:
            DeskError: If a desk with other settings is open on the same TWS or state folder.
        """
        with self._turn:
            self._desks = [desk for desk in self._desks if desk.is_open]
            for desk in self._desks:
                if not _in_one_place(desk.settings, settings):
                    continue
                differences = list(_differences(desk, settings))
                if isinstance(desk, kind) and not differences:
                    return desk
                if not isinstance(desk, kind):
                    differences.append("only one of them is in its own process")
                raise DeskError(_words(differences))
            made = make()
            self._desks.append(made)
            return made

    def forget(self, desk: OpenDesk) -> None:
        """Remove a closed desk."""
        self._desks = [each for each in self._desks if each is not desk]


def _in_one_place(one: DeskSettings, other: DeskSettings) -> bool:
    """Return whether two desks would share their books or their client id at TWS."""
    if one.state_folder.absolute() == other.state_folder.absolute():
        return True
    if "embedded" in (one.mode, other.mode):
        return False
    return (one.tws.address, one.tws.client_id) == (other.tws.address, other.tws.client_id)


def _differences(desk: OpenDesk, asked: DeskSettings) -> Iterator[str]:
    """Yield each setting of the open desk that differs from the requested one, the mode first."""
    here = desk.settings
    found, wanted = _flat(here.model_dump()), _flat(asked.model_dump())
    # Without a named account, it is the only one that TWS has.
    found["tws.account"] = desk.account_id
    wanted["tws.account"] = wanted["tws.account"] or desk.account_id
    for name, value in found.items():
        if name in _OF_TWS and "embedded" in (here.mode, asked.mode):
            continue
        if name.startswith(_OF_GATEWAY) and not here.mode == asked.mode == "embedded":
            continue
        if value != wanted.get(name):
            yield f"{name} is {value}, not {wanted.get(name)}"


def _flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{prefix}{name}.")
        else:
            flat[f"{prefix}{name}"] = value
    return flat


def _words(differences: list[str]) -> str:
    more = f"; and {len(differences) - _SHOWN} more" if len(differences) > _SHOWN else ""
    return (
        f"another desk is open in this process ({'; '.join(differences[:_SHOWN])}{more}): close it with desk.close(), "
        f"or give the new one its own state_folder and client_id"
    )
