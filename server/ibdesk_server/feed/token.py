"""The token with which a client resumes: its subscription and its positions.

It is URL-safe base64, without padding, of a JSON list::

    [2, epoch, [[{topic: seq or null, ...}, symbols or null, owners or null], ...]]

One entry for each filter in use; a `seq` of null means that nothing of the topic has arrived yet. It is not
secret, and it is not trusted: a forged token gives a snapshot at worst.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable
from typing import Annotated

import msgspec

from ibdesk_server.feed.protocol import MALFORMED, SCHEMA, FeedProtocolError

_Word = Annotated[str, msgspec.Meta(max_length=64)]
_Seq = Annotated[int, msgspec.Meta(ge=0, lt=2**62)]


class FeedPosition(msgspec.Struct, frozen=True, array_like=True):
    """A client's positions in the topics that it receives through one filter."""

    seqs: dict[_Word, _Seq | None]
    symbols: list[_Word] | None = None
    owners: list[_Word] | None = None


class _Token(msgspec.Struct, frozen=True, array_like=True):
    schema: int
    epoch: Annotated[str, msgspec.Meta(max_length=64)]
    places: Annotated[list[FeedPosition], msgspec.Meta(max_length=64)]


_DECODER = msgspec.json.Decoder(_Token)


def make_token(epoch: str, places: Iterable[FeedPosition]) -> str:
    """Return the token of these positions."""
    data = msgspec.json.encode(_Token(SCHEMA, epoch, list(places)))
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def read_token(token: str) -> tuple[str, list[FeedPosition]]:
    """Return the epoch and the positions of a token.

    Raises:
        FeedProtocolError: If the token is not valid, or is of another version of the feed.
    """
    try:
        data = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
        found = _DECODER.decode(data)
    except (binascii.Error, ValueError, msgspec.DecodeError, RecursionError):
        raise FeedProtocolError(MALFORMED, "the token is not valid: start over without it") from None
    if found.schema != SCHEMA:
        raise FeedProtocolError(
            MALFORMED, f"the token is for version {found.schema} of the feed, this server has version {SCHEMA}"
        )
    return found.epoch, found.places
