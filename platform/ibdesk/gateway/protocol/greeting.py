"""How a conversation begins: what a client greets with, and the server version both sides agree on."""

from __future__ import annotations

import re

import msgspec

from ibdesk.gateway.protocol.framing import ProtocolError

GREETING = b"API\0"
"""What every client of the text protocol sends first, before any frame."""
LOWEST_VERSION = 157
HIGHEST_VERSION = 178
"""From 201 on TWS frames protobuf; up to here every client in use reads the text protocol right."""
# The connect option of a client that wants its requests paced and not refused (documented).
_SLOW_ME_DOWN = "+PACEAPI"
_VERSIONS = re.compile(r"v(\d{1,6})(?:\.\.(\d{1,6}))?(?: .*)?", re.ASCII)


class Agreement(msgspec.Struct, frozen=True):
    """What client and gateway agree on; a patient client waits where others are refused."""

    version: int
    is_patient: bool


def agreed(text: str) -> Agreement:
    """Return what is agreed with a client of this version line: the highest version that both sides speak.

    Raises:
        ProtocolError: If it is not a version line, or there is no such version.
    """
    match = _VERSIONS.fullmatch(text)
    if match is None:
        raise ProtocolError(f"its version line is {text[:60]!r}")
    lowest, highest = int(match[1]), int(match[2] or match[1])
    if lowest > HIGHEST_VERSION or highest < LOWEST_VERSION:
        raise ProtocolError(
            f"it speaks versions {lowest} to {highest}, the gateway {LOWEST_VERSION} to {HIGHEST_VERSION}"
        )
    return Agreement(min(highest, HIGHEST_VERSION), _SLOW_ME_DOWN in text)
