"""The page of the embedded gateway: its behaviors with how far to trust each, its faults, its messages."""

from __future__ import annotations

import re
from pathlib import Path

import ibdesk.gateway
from ibdesk.gateway.faults import kinds
from ibdesk.gateway.protocol.fields import MessageSpec
from ibdesk.gateway.protocol.greeting import HIGHEST_VERSION, LOWEST_VERSION
from ibdesk.gateway.protocol.incoming import INCOMING
from ibdesk.gateway.protocol.outgoing import OUTGOING
from ibdesk_reference.markdown import code, docstring, heading, table

_TRUST = "## How far to trust it\n"
_ROW = re.compile(r"^(\S.*?)  +(\S.*?)  +(\w+)$")
_MORE = re.compile(r"^(\w+)$")


def as_markdown() -> str:
    """Return the behaviors from the README of the gateway's package, then faults and messages from the code."""
    readme = Path(str(ibdesk.gateway.__file__)).with_name("README.md").read_text()
    trust = readme.partition(_TRUST)[2]
    faults_began = trust.index("### Faults")
    not_here = trust.index("### Not here")
    return "\n".join(
        [
            _TRUST,
            trust[:faults_began].strip() + "\n",
            trust[not_here:].strip() + "\n",
            heading(2, "Faults"),
            "A fault script names a kind and its fields. `ibdesk faults` prints the same on the command line.\n",
            table(["kind", "what goes wrong", "seen"], _fault_rows()),
            *(_fault(name) for name in kinds.KINDS),
            heading(2, "Messages"),
            "`ibdesk messages NAME` prints the fields of a message in wire order at any version from "
            f"{LOWEST_VERSION} to {HIGHEST_VERSION}.\n",
            heading(3, "From a client"),
            table(["number", "message"], map(_message, sorted(INCOMING.values(), key=lambda each: each.id))),
            heading(3, "To a client"),
            table(["number", "message"], map(_message, sorted(OUTGOING.values(), key=lambda each: each.id))),
        ]
    )


def fault_notes() -> dict[str, tuple[str, str]]:
    """Return what each kind of fault does and where it was seen, from the table in the module's docstring."""
    found: dict[str, tuple[str, str]] = {}
    names: list[str] = []
    for each in (kinds.__doc__ or "").splitlines():
        if row := _ROW.match(each):
            names, about, seen = row[1].split(), row[2], row[3]
            found.update(dict.fromkeys(names, (about, seen)))
        elif (more := _MORE.match(each)) and names:
            found[more[1]] = found[names[0]]
    return {name: found[name] for name in kinds.KINDS}


def _fault_rows() -> list[list[str]]:
    return [[f"[{code(name)}](#fault-{name.replace('_', '-')})", *note] for name, note in fault_notes().items()]


def _fault(name: str) -> str:
    from ibdesk_reference.structs import fields

    cls = kinds.KINDS[name]
    parts = [heading(3, code(name), target=f"fault-{name.replace('_', '-')}"), docstring(cls) + "\n", fields(cls)]
    return "\n".join(parts)


def _message(message: MessageSpec) -> list[str]:
    return [str(message.id), code(message.name)]
