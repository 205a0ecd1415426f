"""Genuine messages of TWS decode by the gateway's tables and come back byte for byte.

The recordings are no part of this project. They are looked for where `IBDESK_TWS_RECORDINGS` says, or in
`../shared/tws/recorded` beside the checkout.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import yaml

from ibdesk.gateway.codec import decode, encode, split
from ibdesk.gateway.fields import Message
from ibdesk.gateway.incoming import INCOMING
from ibdesk.gateway.outgoing import OUTGOING

ROOT = Path(__file__).parents[2]
RECORDINGS = Path(os.environ.get("IBDESK_TWS_RECORDINGS", ROOT.parent / "shared" / "tws" / "recorded"))
FRAMES = RECORDINGS / "ibkr-go-frames.tsv"
EXCHANGES = RECORDINGS / "rust-ibapi-interactions.yaml"

pytestmark = pytest.mark.skipif(
    not (FRAMES.exists() and EXCHANGES.exists()),
    reason=f"no recordings of genuine traffic in {RECORDINGS}; set IBDESK_TWS_RECORDINGS",
)

# Messages that look at server version 200 as they did at 178. The others gained fields in between.
UNCHANGED_SINCE_178 = frozenset(
    {1, 2, 3, 6, 7, 8, 9, 15, 21, 45, 46, 49, 52, 53, 54, 55, 57, 58, 59, 61, 62, 63, 64, 71, 72, 73, 74, 76, 78}
    | {81, 85, 88, 93, 94, 102, 107}
)


def check(message: Message, payload: bytes, version: int) -> None:
    texts = decode(message, split(payload), version)
    assert encode(message, texts, version)[4:] == payload


def test_messages_recorded_at_version_173_come_back_byte_for_byte() -> None:
    recorded = yaml.safe_load(EXCHANGES.read_text())
    version = recorded["header"]["server_version"]
    exchanges = recorded["interactions"]

    for exchange in exchanges:
        request = exchange["request"]["raw"].encode()
        check(INCOMING[int(request.split(b"\0")[0])], request, version)
        for response in exchange["responses"]:
            payload = response["raw"].encode()
            check(OUTGOING[int(payload.split(b"\0")[0])], payload, version)

    assert len(exchanges) == 5


def test_messages_recorded_at_version_200_come_back_where_they_have_not_changed() -> None:
    checked = 0
    for line in FRAMES.read_text().splitlines():
        *_, bar_separated, _version = line.split("\t")
        payload = bar_separated.replace("|", "\0").encode()
        number = int(payload.split(b"\0")[0])
        if number in UNCHANGED_SINCE_178:
            check(OUTGOING[number], payload, 178)
            checked += 1

    assert checked > 30
