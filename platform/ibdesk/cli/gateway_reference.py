"""`ibdesk faults` and `ibdesk messages`: the faults of the gateway and the messages of the TWS protocol."""

from __future__ import annotations

from ibdesk.cli.gateway import print_line
from ibdesk.cli.screen import console, plain_table
from ibdesk.errors import ConfigError
from ibdesk.gateway import random_script
from ibdesk.gateway.faults.kinds import KINDS
from ibdesk.gateway.protocol.fields import MessageSpec
from ibdesk.gateway.protocol.greeting import HIGHEST_VERSION, LOWEST_VERSION
from ibdesk.gateway.protocol.incoming import INCOMING
from ibdesk.gateway.protocol.layout import layout
from ibdesk.gateway.protocol.outgoing import OUTGOING

_BY_CLIENT, _BY_TWS = "client", "TWS"


def print_kinds() -> None:
    """Print the kinds of faults, one per line."""
    table = plain_table("kind", "what goes wrong", title=f"Faults: {len(KINDS)}")
    for name, kind in KINDS.items():
        table.add_row(name, (kind.__doc__ or "").partition("\n")[0].rstrip("."))
    console.print(table)


def print_random_script(seed: int, *, seconds: float, intensity: float, kinds: tuple[str, ...]) -> None:
    """Print a fault script as `ibdesk gateway --faults` reads it.

    Raises:
        ConfigError: If a kind is unknown, or a figure is out of range.
    """
    script = random_script(seed, seconds, intensity=intensity, kinds=kinds or None)
    print_line(script.to_toml().rstrip("\n"))


def print_messages(name: str, *, version: int) -> None:
    """Print the layout of the messages of this name, or a list of all messages if it is empty.

    Raises:
        ConfigError: If the message or the version does not exist.
    """
    if not LOWEST_VERSION <= version <= HIGHEST_VERSION:
        raise ConfigError(f"--version must be from {LOWEST_VERSION} to {HIGHEST_VERSION}, got {version}")
    known = [(_BY_CLIENT, message) for message in INCOMING.values()]
    known += [(_BY_TWS, message) for message in OUTGOING.values()]
    if not name:
        table = plain_table("from", "number", "message", title=f"Messages: {len(known)}")
        for sender, message in known:
            table.add_row(sender, str(message.id), message.name)
        console.print(table)
        return
    found = [(sender, message) for sender, message in known if name.lower() in (message.name.lower(), str(message.id))]
    if not found:
        near = sorted(message.name for _, message in known if name.lower() in message.name.lower())
        hint = f"near it are {', '.join(near)}" if near else "ibdesk messages lists them"
        raise ConfigError(f"there is no message {name!r}: {hint}")
    for sender, message in found:
        _print_layout(sender, message, version)


def _print_layout(sender: str, message: MessageSpec, version: int) -> None:
    print_line(f"{message.name}, from the {sender}, at server version {version}")
    for text in layout(message, version):
        print_line(f"  {text}")
