"""Fault scripts: read and written, rejected with a message, played on the gateway's clock, always alike."""

from __future__ import annotations

import datetime as dt
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ibdesk.clock import ManualClock
from ibdesk.errors import ConfigError
from ibdesk.gateway import Gateway, GatewaySettings, RandomWalk, make_gateway
from ibdesk.gateway.faults import (
    KINDS,
    After,
    At,
    ClientIdInUse,
    Delay,
    Drop,
    Duplicate,
    FaultScript,
    HangUp,
    LogOff,
    LoseAcknowledgement,
    LoseConnectivity,
    OnMessage,
    OnOrder,
    RefuseConnections,
    RejectNextOrder,
    Reorder,
    SetNextOrderId,
    random_script,
)
from ibdesk.gateway.faults import kinds as kinds_page
from ibdesk.gateway.faults.passing import INCOMING_NAMES, OUTGOING_NAMES
from ibdesk.gateway.faults.script import next_wall_time
from ibdesk.gateway.protocol.codec import encode
from ibdesk.gateway.protocol.framing import frame, split
from ibdesk.gateway.protocol.incoming import INCOMING
from ibdesk.model import nanoseconds

if TYPE_CHECKING:
    from tests.gateway.conftest import MakeWire

EVERY_FORM = """\
seed = 7

[[fault]]
at = 30
kind = "hang_up"
client = 1

[[fault]]
at = "Sun 23:45"
kind = "log_off"
for_seconds = 900

[[fault]]
on_message = "execDetails"
nth = 2
of_client = 3
kind = "duplicate"

[[fault]]
on_order = 3
name = "lost"
kind = "lose_acknowledgement"

[[fault]]
after = "lost"
seconds = 2.5
kind = "delay"
messages = ["tickPrice", "placeOrder"]
count = 0
for_seconds = 10
share = 0.25
by_seconds = 0.1
"""


def test_a_script_in_toml_is_the_script_in_python() -> None:
    script = FaultScript(
        (
            At(30, HangUp(client=1)),
            At("Sun 23:45", LogOff(for_seconds=900)),
            OnMessage("execDetails", nth=2, of_client=3, then=Duplicate()),
            OnOrder(3, LoseAcknowledgement(), name="lost"),
            After(
                "lost",
                2.5,
                Delay(messages=("tickPrice", "placeOrder"), count=0, for_seconds=10, share=0.25, by_seconds=0.1),
            ),
        ),
        seed=7,
    )

    assert FaultScript.from_toml(EVERY_FORM) == script
    assert script.to_toml() == EVERY_FORM


@pytest.mark.parametrize(
    ("table", "sentence"),
    [
        (
            'at = 1\nkind = "hang_up"\ncleint = 1',
            "fault 2: hang_up has no key 'cleint'; its keys are at, client, kind, name",
        ),
        ('at = 1\nkind = "hangup"', "fault 2: unknown kind 'hangup': must be one of break_farm, cancel_open_order,"),
        ("at = 1", "fault 2: unknown kind None: must be one of "),
        ('kind = "hang_up"', "fault 2: needs exactly one of at, on_message, on_order, after, got none"),
        ('at = 1\nafter = "x"\nkind = "hang_up"', "got at, after"),
        ('at = 1\nkind = "hang_up"\nclient = "1"', "fault 2: client: expected `int | null`, got `str`"),
        ('at = 1\nkind = "half_open"\nfor_seconds = 0', "fault 2: for_seconds: expected `float` > 0.0"),
        ('at = -1\nkind = "hang_up"', "fault 2: at: expected `float` >= 0.0"),
        ('at = "24:00"\nkind = "hang_up"', "fault 2: at '24:00' is neither seconds nor a time such as 23:45"),
        ('after = "x"\nseconds = 1\nkind = "hang_up"', "fault 2: after 'x' names no fault; names: one"),
        ('after = "one"\nkind = "hang_up"', "fault 2: object missing required field `seconds`"),
        ('on_message = "exec"\nkind = "hang_up"', "fault 2: on_message 'exec' is not a message of TWS"),
        ('at = 1\nkind = "drop"\nmessages = ["a", "tickPrice"]', "fault 2: a is not a message of TWS"),
        ('at = 1\nkind = "restart"\norder_ids = "lost"', "fault 2: order_ids: invalid enum value 'lost'"),
    ],
)
def test_an_unknown_part_of_a_script_is_named_in_one_sentence(table: str, sentence: str) -> None:
    text = f'[[fault]]\nname = "one"\nat = 1\nkind = "hang_up"\n\n[[fault]]\n{table}\n'

    with pytest.raises(ConfigError) as refused:
        FaultScript.from_toml(text)

    assert sentence in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("seed = ", "it is not valid TOML"),
        ("seed = true", "seed must be a whole number"),
        ("faults = 1", "unknown key 'faults'"),
        ("fault = 1", "each headed [[fault]]"),
    ],
)
def test_a_file_that_is_no_script_says_why(text: str, sentence: str, tmp_path: Path) -> None:
    path = tmp_path / "faults.toml"
    path.write_text(text)

    with pytest.raises(ConfigError, match="cannot be played") as refused:
        make_gateway(GatewaySettings(faults=path))

    assert sentence in str(refused.value)
    with pytest.raises(ConfigError, match="cannot be read"):
        FaultScript.read(tmp_path / "none.toml")


def test_a_script_written_in_python_is_checked_too() -> None:
    with pytest.raises(ConfigError, match="fault 1: by_seconds: expected `float` > 0"):
        Gateway(faults=FaultScript((At(1, Delay(by_seconds=-1)),)))


def test_trigger_and_fault_share_no_key_but_the_kind_and_every_kind_is_in_the_table() -> None:
    of_triggers = {"at", "on_message", "nth", "of_client", "on_order", "after", "seconds", "name"}

    assert not any(of_triggers & set(kind.__struct_fields__) for kind in KINDS.values())
    assert not INCOMING_NAMES & OUTGOING_NAMES
    table = (kinds_page.__doc__ or "").split()
    assert set(KINDS) <= set(table)


SECONDS = st.floats(0.001, 1e6)
TEXTS = st.text(st.characters(blacklist_categories=["Cs"]), max_size=20)
FAULTS = st.one_of(
    st.builds(HangUp, client=st.none() | st.integers(0, 99)),
    st.builds(LoseConnectivity, for_seconds=st.none() | SECONDS, data_kept=st.booleans()),
    st.builds(RejectNextOrder, reason=TEXTS),
    st.builds(SetNextOrderId, to=st.integers(1, 2**31 - 1)),
    st.builds(
        Reorder,
        messages=st.lists(st.sampled_from(sorted(OUTGOING_NAMES | INCOMING_NAMES)), max_size=3).map(tuple),
        order=st.none() | st.integers(-5, 5),
        share=st.floats(0.01, 1),
        past=st.integers(1, 9),
    ),
)
STEPS = st.one_of(
    st.builds(At, SECONDS | st.sampled_from(["23:45", "Sun 23:45", "Mon 00:00"]), FAULTS, TEXTS),
    st.builds(OnMessage, st.sampled_from(sorted(OUTGOING_NAMES)), FAULTS, st.integers(1, 9), st.none() | st.just(3)),
    st.builds(OnOrder, st.integers(1, 9), FAULTS, st.none() | st.just(3)),
)


@given(st.builds(FaultScript, st.lists(STEPS, max_size=5).map(tuple), st.integers(-(2**40), 2**40)))
def test_a_script_survives_being_written_and_read(script: FaultScript) -> None:
    text = script.to_toml()

    assert FaultScript.from_toml(text) == script
    assert FaultScript.from_toml(text).to_toml() == text


@given(st.integers(), st.floats(1, 600), st.floats(0, 20))
def test_a_random_script_is_the_same_for_a_seed_and_can_be_written_and_read(
    seed: int, duration: float, intensity: float
) -> None:
    script = random_script(seed, duration, intensity=intensity)

    assert script == random_script(seed, duration, intensity=intensity)
    assert FaultScript.from_toml(script.to_toml()) == script
    assert all(isinstance(step, At) and 0 <= float(step.at) <= duration for step in script.steps)


def test_every_kind_can_be_drawn_and_comes_as_often_as_its_intensity_says() -> None:
    assert {step.then.words.split()[0] for step in random_script(1, 3600, intensity=1).steps} == set(KINDS)

    drawn = random_script(1, 6000, intensity={"hang_up": 6, "drop": 1.5})

    # 600 and 150 are expected; a Poisson count is within five of its square roots but once in a million.
    hang_ups = sum(isinstance(step.then, HangUp) for step in drawn.steps)
    assert abs(hang_ups - 600) < 5 * math.sqrt(600)
    assert abs(len(drawn.steps) - hang_ups - 150) < 5 * math.sqrt(150)
    assert [step for step in drawn.steps if isinstance(step.then, HangUp)] == list(
        random_script(1, 6000, intensity=6, kinds=["hang_up"]).steps
    )
    with pytest.raises(ConfigError, match="unknown kind 'hangup': must be one of"):
        random_script(1, 60, kinds=["hangup"])


@pytest.mark.parametrize(
    ("text", "now", "then"),
    [
        # A Monday at 10:00 in New York, which is four hours behind UTC in summer and five in winter.
        ("23:45", "2026-04-13T14:00", "2026-04-14T03:45"),
        ("09:00", "2026-04-13T14:00", "2026-04-14T13:00"),
        ("Mon 10:01", "2026-04-13T14:00", "2026-04-13T14:01"),
        ("Mon 10:00", "2026-04-13T14:00", "2026-04-20T14:00"),
        ("Sun 23:45", "2026-04-13T14:00", "2026-04-20T03:45"),
        # The clocks go back in the night of 1 November: 23:45 is 25 hours after the last one.
        ("23:45", "2026-11-01T03:45", "2026-11-02T04:45"),
    ],
)
def test_wall_times_are_those_of_new_york(text: str, now: str, then: str) -> None:
    now_ns, then_ns = (nanoseconds(dt.datetime.fromisoformat(time).replace(tzinfo=dt.UTC)) for time in (now, then))

    assert next_wall_time(text, now_ns) == then_ns


async def test_steps_strike_in_their_time_and_after_one_another(gateway: Gateway) -> None:
    # The gateway opens at 10:00 in New York.
    script = FaultScript(
        (
            At(30, HangUp(client=1), name="first"),
            After("first", 5, HangUp(client=2), name="second"),
            After("second", 5, HangUp(client=3)),
            At("10:01", HangUp(client=4)),
        )
    )
    began_ns = gateway.schedule.now_ns

    gateway.faults.play(script)
    gateway.advance(36)
    assert [words for _, words in gateway.faults.fired] == ["hang_up client=1", "hang_up client=2"]
    gateway.advance(24 * 3600 + 60)

    seconds = [(at_ns - began_ns) / 1e9 for at_ns, _ in gateway.faults.fired]
    assert seconds == [30, 35, 40, 60, 24 * 3600 + 60]


async def test_a_script_takes_the_place_of_the_one_before(gateway: Gateway) -> None:
    gateway.faults.play(FaultScript((At(1, HangUp(client=1)), OnMessage("openOrder", then=HangUp(client=2)))))
    gateway.faults.play(FaultScript((At(2, HangUp(client=3)),)))

    gateway.advance(3)

    assert [words for _, words in gateway.faults.fired] == ["hang_up client=3"]


async def test_stopping_ends_the_script_and_everything_that_lasts(dial: MakeWire, gateway: Gateway) -> None:
    wire = await dial(1)
    gateway.faults.play(FaultScript((At(1, HangUp()), At(0, Drop(messages=("currentTime",), count=0)))))
    gateway.faults.cause(RefuseConnections())
    gateway.faults.cause(ClientIdInUse(client=2))
    gateway.faults.cause(Delay(messages=("openOrderEnd",), by_seconds=0.001, count=0))
    gateway.faults.cause(Reorder(messages=("execDetailsEnd",), past=9))
    gateway.advance(0)
    wire.send(7, reqId=5)
    wire.send(49)

    gateway.faults.stop()
    other = await dial(2)
    other.send(49)
    await other.until("currentTime")
    wire.send(49)

    # The answer that was to be overtaken by nine others did not have to wait for them.
    assert [name for name, _ in await wire.until("currentTime")][-2:] == ["execDetailsEnd", "currentTime"]
    gateway.advance(2)
    assert set(gateway.client_ids) == {1, 2}
    assert all(session.tamper is None for session in gateway.connected())


async def conversation(script: FaultScript, dial: MakeWire) -> tuple[bytes, list[tuple[int, str]]]:
    """Return all messages to one client of a gateway that plays a script while the client trades in step with it."""
    heard = bytearray()
    start = nanoseconds(dt.datetime(2026, 4, 13, 14, tzinfo=dt.UTC))
    async with Gateway(market=RandomWalk(5), clock=ManualClock(start), faults=script) as gateway:
        for _ in range(4):
            wire = await dial(client_id=None, port=gateway.port)
            wire.send_bytes(b"API\0" + frame(b"v157..178") + encode(INCOMING[71], {"version": 2, "clientId": 1}, 178))
            for round_number in range(12):
                order_id = gateway.venue.next_order_id(1)
                for request, values in (
                    (1, {"reqId": 700 + round_number}),
                    (3, {"orderId": order_id, "orderType": "MKT"}),
                    (3, {"orderId": order_id + 1, "orderType": "LMT", "lmtPrice": 1}),
                ):
                    terms: dict[str, Any] = {"conId": 265598, "action": "BUY", "totalQuantity": 10, "transmit": 1}
                    terms.update(values)
                    wire.send(request, **terms)
                wire.send(49)
                payload = b"-\0"
                while payload and split(payload)[0] != "49":
                    payload = await wire.payload()
                    heard += frame(payload)
                gateway.advance(1)
                if not payload:
                    break
            wire.close()
        return bytes(heard), gateway.faults.fired


async def test_the_same_script_seed_market_and_requests_give_the_same_bytes(dial: MakeWire) -> None:
    quiet = ("hang_up", "delay", "drop", "duplicate", "reorder", "lose_connectivity", "break_farm", "cross", "gap")
    script = random_script(11, 40, intensity=8, kinds=quiet)
    shaken = msgspec.structs.replace(
        script, steps=(*script.steps, At(0, Drop(messages=("tickPrice", "orderStatus"), count=0, share=0.5)))
    )

    first, fired = await conversation(shaken, dial)
    second, fired_again = await conversation(FaultScript.from_toml(shaken.to_toml()), dial)
    other, _ = await conversation(msgspec.structs.replace(shaken, seed=12), dial)

    assert len(fired) >= 15
    assert fired == fired_again
    assert len(first) > 20_000
    assert first == second
    assert first != other


def test_the_settings_of_a_gateway_name_a_script(tmp_path: Path) -> None:
    path = tmp_path / "faults.toml"
    path.write_text(EVERY_FORM)

    settings: dict[str, Any] = {"faults": path}

    assert make_gateway(GatewaySettings(**settings)).faults.fired == []
