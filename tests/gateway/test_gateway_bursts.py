"""No burst ends where the official client would lose it.

That client reads 4,096 bytes at a time as long as it gets that many. If the bytes end exactly then, it waits for more;
after a second of silence it drops everything that it has read (reported, and seen to happen).
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ibdesk.gateway import Gateway
from ibdesk.gateway.bursts import LOST_BURST, REMEMBERED, Bursts
from ibdesk.gateway.protocol.codec import encode
from ibdesk.gateway.protocol.framing import FrameReader, split
from ibdesk.gateway.protocol.outgoing import OUTGOING_BY_NAME

if TYPE_CHECKING:
    from tests.gateway.conftest import MakeWire

CODE = 2100
LENGTHS = [size * LOST_BURST + more for size in (1, 2) for more in range(-20, 21)]


def _text_for(length: int) -> str:
    """Return the text that gives the error message this length."""
    empty = encode(OUTGOING_BY_NAME["errMsg"], {"id": -1, "errorCode": CODE, "errorMsg": ""}, 178)
    return "x" * (length - len(empty))


async def _read_as_the_official_client_does(reader: asyncio.StreamReader) -> bytes:
    """Return the bytes of one read of that client; fail if the client would lose them."""
    taken = b""
    while True:
        try:
            data = await asyncio.wait_for(reader.read(LOST_BURST), 0.05)
        except TimeoutError:
            pytest.fail(f"after {len(taken)} bytes, which is {len(taken) // LOST_BURST} times 4,096, there is silence")
        taken += data
        if len(data) < LOST_BURST:
            return taken


def _texts(data: bytes) -> list[str]:
    messages = [split(payload) for payload in FrameReader().feed(data)]
    return [message[4] for message in messages if message[0] == "4"]


async def test_a_burst_of_any_length_near_the_lost_ones_is_read(dial: MakeWire, gateway: Gateway) -> None:
    wire = await dial()

    for length in LENGTHS:
        text = _text_for(length)
        gateway.tell_all(CODE, text)
        told = await _read_as_the_official_client_does(wire.reader)

        assert _texts(told) == [text]


@pytest.mark.parametrize("first", [100, 2000, 4000, 5000])
@pytest.mark.parametrize("together", [LOST_BURST, 2 * LOST_BURST])
async def test_bursts_that_are_read_together_are_not_lost_either(
    dial: MakeWire, gateway: Gateway, first: int, together: int
) -> None:
    wire = await dial()
    texts = [_text_for(first), _text_for(together - first if together > first else 2 * together - first)]

    for text in texts:
        gateway.tell_all(CODE, text)
        # A burst leaves at the end of the loop's turn; the client has not read meanwhile.
        for _ in range(3):
            await asyncio.sleep(0)
    told = await _read_as_the_official_client_does(wire.reader)

    assert _texts(told) == texts


@given(lengths=st.lists(st.sampled_from([512, 1024, 2048, 3072, LOST_BURST]) | st.integers(1, 9000), max_size=40))
def test_no_burst_ends_a_multiple_behind_one_of_those_before(lengths: list[int]) -> None:
    bursts, ends, filler = Bursts(), [0], 14

    for wanted in lengths:
        length = wanted
        while bursts.is_lost(length):
            length += filler
        bursts.note_sent(length)
        end = ends[-1] + length
        assert all((end - earlier) % LOST_BURST for earlier in ends[-REMEMBERED:])
        ends.append(end)
