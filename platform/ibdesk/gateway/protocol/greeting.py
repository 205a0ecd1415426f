"""The beginning of a connection: the client's greeting, and the agreed server version."""

from __future__ import annotations

import re

import msgspec

from ibdesk.gateway.protocol.framing import ProtocolError

GREETING = b"API\0"
"""The first bytes of every client of the text protocol, before any frame."""
LOWEST_VERSION = 157
HIGHEST_VERSION = 178
"""From 201 on TWS uses protobuf; up to here every client in use reads the text protocol correctly."""
# The connect option of a client whose requests are to be delayed instead of refused (documented).
_SLOW_ME_DOWN = "+PACEAPI"
_VERSIONS = re.compile(r"v(\d{1,6})(?:\.\.(\d{1,6}))?(?: .*)?", re.ASCII)


class Agreement(msgspec.Struct, frozen=True):
    """The agreed server version; a patient client's messages are delayed instead of refused."""

    version: int
    is_patient: bool


def agreed(text: str) -> Agreement:
    """Return the agreement with a client of this version line: the highest version that both sides support.

    Raises:
        ProtocolError: If it is not a version line, or there is no common version.
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
