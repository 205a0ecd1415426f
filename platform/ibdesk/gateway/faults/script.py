"""A fault script: the faults of a gateway and their times.

In Python::

    FaultScript(seed=7, steps=(
        At(30, HangUp(client=1)),
        At("Sun 23:45", LogOff(for_seconds=600)),
        OnMessage("execDetails", nth=2, then=Duplicate()),
        OnOrder(3, LoseAcknowledgement(), name="lost"),
        After("lost", 5, HangUp()),
    ))

The same in TOML, one table per step, with trigger and fault side by side (see `FaultScript.from_toml`)::

    seed = 7

    [[fault]]
    at = 30
    kind = "hang_up"
    client = 1
"""

from __future__ import annotations

import datetime as dt
import re
from pathlib import Path
from typing import Annotated, Self, TypeVar

import msgspec

from ibdesk.clock import SECOND
from ibdesk.errors import ConfigError
from ibdesk.gateway.faults.fault import LONGEST, ClientId, Fault
from ibdesk.gateway.faults.kinds import KINDS
from ibdesk.gateway.faults.messages import MessageFault
from ibdesk.gateway.faults.passing import INCOMING_NAMES, OUTGOING_NAMES
from ibdesk.gateway.faults.toml import parsed, table
from ibdesk.gateway.times import ZONE, local

_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_WALL_TIME = re.compile(rf"(?:({'|'.join(_DAYS)}) )?([01]\d|2[0-3]):([0-5]\d)")
_MOST_STEPS = 10_000
T = TypeVar("T")

Name = Annotated[str, msgspec.Meta(max_length=100)]
Nth = Annotated[int, msgspec.Meta(ge=1, le=1_000_000_000)]


class At(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """At a time: seconds after the script began, daily at ``23:45``, or weekly at ``Sun 23:45``.

    Wall times are in the gateway's zone.
    """

    at: Annotated[float, msgspec.Meta(ge=0, le=LONGEST)] | Annotated[str, msgspec.Meta(max_length=9)]
    then: Fault
    name: Name = ""


class OnMessage(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """When the n-th message of a name, of one client or of all, is about to be sent or read.

    A message fault affects this very message.
    """

    on_message: str
    then: Fault
    nth: Nth = 1
    of_client: ClientId | None = None
    name: Name = ""


class OnOrder(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """The n-th new order of one client or of all: before its acceptance, or after it if the fault needs that."""

    on_order: Nth
    then: Fault
    of_client: ClientId | None = None
    name: Name = ""


class After(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """Some seconds after each strike of another step, which is named by its `name`."""

    after: Name
    seconds: Annotated[float, msgspec.Meta(ge=0, le=LONGEST)]
    then: Fault
    name: Name = ""


Step = At | OnMessage | OnOrder | After
"""One step of a script: its trigger, the fault `then`, and the `name` by which `After` refers to it."""
# The kinds of steps by their key in TOML.
_TRIGGERS: dict[str, type[Step]] = {"at": At, "on_message": OnMessage, "on_order": OnOrder, "after": After}
# A placeholder for the fault while the trigger's own fields are checked.
_ANY_FAULT = {"kind": "fault"}


class FaultScript(msgspec.Struct, frozen=True):
    """Faults and their triggers. The same script, market and requests give the same conversation, byte for byte."""

    steps: tuple[Step, ...] = ()
    seed: int = 0

    def checked(self) -> Self:
        """Return the script itself if it can be played.

        Raises:
            ConfigError: If a field has an invalid value; the message gives the fault's number.
        """
        if len(self.steps) > _MOST_STEPS:
            raise ConfigError(f"a fault script may have at most {_MOST_STEPS} faults, got {len(self.steps)}")
        names = {step.name for step in self.steps if step.name}
        for number, step in enumerate(self.steps, start=1):
            _check(number, step, names)
        return self

    def to_toml(self) -> str:
        """Return the script as TOML, from which `from_toml` returns an equal script."""
        tables = [table("fault", _flat(step)) for step in self.steps]
        return "\n".join([f"seed = {self.seed}\n", *tables])

    @classmethod
    def from_toml(cls, text: str) -> Self:
        """Return the script in a TOML text: ``seed``, and a table ``[[fault]]`` for each step.

        A table has one trigger (``at``, ``on_message`` with ``nth`` and ``of_client``, ``on_order`` with
        ``of_client``, or ``after`` with ``seconds``), optionally a ``name``, the ``kind``, and the kind's own fields.

        Raises:
            ConfigError: If it is not valid TOML, or has an invalid key or value; the message names it.
        """
        seed, tables = parsed(text)
        return cls(tuple(_step(number, keys) for number, keys in enumerate(tables, start=1)), seed).checked()

    @classmethod
    def read(cls, path: Path) -> Self:
        """Return the script in a TOML file.

        Raises:
            ConfigError: If the file cannot be read, or see `from_toml`.
        """
        try:
            text = path.read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"the fault script {path} cannot be read: {error}") from error
        try:
            return cls.from_toml(text)
        except ConfigError as error:
            raise ConfigError(f"the fault script {path} cannot be played: {error}") from error


def next_wall_time(text: str, now_ns: int) -> int:
    """Return the next time (ns UTC) after `now_ns` that is this wall time in the gateway's zone."""
    match = _WALL_TIME.fullmatch(text)
    assert match is not None  # noqa: S101 - scripts are checked before they are played
    day, hour, minute = match.groups()
    date = local(now_ns).date()
    for ahead in range(9):
        at = dt.datetime.combine(date + dt.timedelta(ahead), dt.time(int(hour), int(minute)), ZONE)
        at_ns = int(at.timestamp()) * SECOND
        if at_ns > now_ns and day in (None, _DAYS[at.weekday()]):
            return at_ns
    raise AssertionError(f"no {text} within nine days")


# ---- steps as tables ----------------------------------------------------------------------------------------------


def _flat(step: Step) -> dict[str, object]:
    """Return the trigger's fields and the fault's side by side."""
    keys: dict[str, object] = msgspec.to_builtins(step)
    fault = keys.pop("then")
    assert isinstance(fault, dict)  # noqa: S101 - a struct becomes a dictionary
    return {**keys, **fault}


def _step(number: int, keys: dict[str, object]) -> Step:
    triggers = [key for key in _TRIGGERS if key in keys]
    if len(triggers) != 1:
        raise ConfigError(f"fault {number}: needs exactly one of {', '.join(_TRIGGERS)}, got {_listed(triggers)}")
    kind = keys.get("kind")
    if not isinstance(kind, str) or kind not in KINDS:
        raise ConfigError(f"fault {number}: unknown kind {kind!r}: must be one of {', '.join(sorted(KINDS))}")
    trigger, fault = _TRIGGERS[triggers[0]], KINDS[kind]
    of_trigger = [name for name in trigger.__struct_fields__ if name != "then"]
    known = {*of_trigger, "kind", *fault.__struct_fields__}
    for key in keys:
        if key not in known:
            raise ConfigError(f"fault {number}: {kind} has no key {key!r}; its keys are {', '.join(sorted(known))}")
    then = _converted(number, {key: value for key, value in keys.items() if key not in of_trigger}, fault)
    fields = {key: value for key, value in keys.items() if key in of_trigger}
    return msgspec.structs.replace(_converted(number, {**fields, "then": _ANY_FAULT}, trigger), then=then)


def _check(number: int, step: Step, names: set[str]) -> None:
    """Check every field against its type; msgspec does not check values given in Python."""
    _converted(number, msgspec.to_builtins(step.then), type(step.then))
    fields: dict[str, object] = msgspec.to_builtins(step)
    _converted(number, {**fields, "then": _ANY_FAULT}, type(step))
    if isinstance(step, At) and isinstance(step.at, str) and _WALL_TIME.fullmatch(step.at) is None:
        raise ConfigError(f"fault {number}: at {step.at!r} is neither seconds nor a time such as 23:45 or Sun 23:45")
    if isinstance(step, OnMessage) and step.on_message not in INCOMING_NAMES | OUTGOING_NAMES:
        raise ConfigError(f"fault {number}: on_message {step.on_message!r} is not a message of TWS")
    if isinstance(step, After) and step.after not in names:
        raise ConfigError(f"fault {number}: after {step.after!r} names no fault; names: {_listed(sorted(names))}")
    if isinstance(step.then, MessageFault) and step.then.unknown_messages():
        raise ConfigError(f"fault {number}: {_listed(step.then.unknown_messages())} is not a message of TWS")


def _converted(number: int, fields: dict[str, object], kind: type[T]) -> T:
    try:
        return msgspec.convert(fields, kind, strict=True)
    except msgspec.ValidationError as error:
        what, _, place = str(error).partition(" - at `$.")
        at = f"{place.rstrip('`')}: " if place else ""
        raise ConfigError(f"fault {number}: {at}{what[:1].lower()}{what[1:]}") from None


def _listed(words: list[str]) -> str:
    return ", ".join(words) if words else "none"
