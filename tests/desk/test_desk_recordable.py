"""A command that cannot be journaled is refused before it has an effect; an event that cannot be journaled halts."""

from __future__ import annotations

import sqlite3
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ibdesk.desk import Desk
from ibdesk.desk.recorder import Recorder, as_recorded
from ibdesk.engine import RiskLimits
from ibdesk.errors import DeskError, JournalError
from ibdesk.model import (
    AcceptExternal,
    CancelRequest,
    ChangeLimits,
    ChangeParameters,
    Event,
    HaltTrading,
    ModifyRequest,
    Notice,
    PlaceRequest,
    ResumeTrading,
    Side,
    StartStrategy,
    Stock,
    StopStrategy,
    StrategySource,
    WatchMarket,
    decode_event,
    encode_event,
)
from ibdesk.store import Journal, JournalHeader, JournalReader, OrderIdMark, Topic, replay
from ibdesk.telemetry import Performance

OpenDesk = Callable[..., Desk]
WriteStrategy = Callable[[str, str], Path]

HOLD = "def target(self):\n    return pl.lit(10.0)"
COMMANDS: list[msgspec.Struct] = [
    StartStrategy(
        run_id="run",
        source=StrategySource("Hold"),
        parameters={"size": 1},
        instruments=[Stock("IBM")],
        interval_ns=5,
        at_ns=1,
    ),
    StopStrategy("run", 1),
    ChangeParameters(run_id="run", parameters={"size": 1}, at_ns=1),
    ChangeLimits(limits={"max_order_shares": 5.0}, at_ns=1),
    HaltTrading("why", 1),
    ResumeTrading("1", "why", 1),
    WatchMarket(Stock("IBM"), 1),
    PlaceRequest(order_id="a", instrument=Stock("IBM"), side=Side.BUY, quantity=5.0, at_ns=1),
    ModifyRequest(order_id="a", at_ns=1, quantity=5.0),
    CancelRequest("a", 1),
    AcceptExternal(instrument="IBM", at_ns=1),
]
FIELDS = [(command, name) for command in COMMANDS for name in command.__struct_fields__]
odd = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False),
    st.text(),
    st.text(st.characters(categories=["Cs"]), min_size=1),
    st.binary(),
    st.uuids(),
    st.datetimes(),
    st.sampled_from([*Side, object(), Stock("IBM"), StrategySource("Hold"), StrategySource(5)]),  # type: ignore[arg-type]
    st.lists(st.integers() | st.text(), max_size=2),
    st.dictionaries(st.text() | st.integers(), st.integers() | st.text(), max_size=2),
)


@given(st.sampled_from(FIELDS), odd)
def test_a_command_that_is_accepted_decodes_to_an_equal_one(field: tuple[msgspec.Struct, str], value: Any) -> None:
    command, name = field
    asked = msgspec.structs.replace(command, **{name: value})
    try:
        accepted = as_recorded(asked)
    except DeskError as error:
        str(error).encode()
        return
    assert accepted == asked
    assert decode_event(encode_event(accepted)) == accepted  # type: ignore[arg-type]


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.__struct_config__.tag)
def test_a_command_as_it_should_be_is_accepted(command: msgspec.Struct) -> None:
    assert as_recorded(command) == command
    assert type(command) in get_args(Event)


@pytest.mark.parametrize("by", [None, 5, "br\udcfccke", b"alice", uuid.UUID(int=1)], ids=ascii)
def test_what_the_journal_cannot_hold_is_refused_and_nothing_happens(
    desk: Desk, write_strategy: WriteStrategy, by: Any
) -> None:
    hold = write_strategy("hold", HOLD)
    run, halt = desk.start(hold, on="IBM"), desk.halt("enough")
    limits = desk.risk().limits
    refused: list[Callable[[], Any]] = [
        lambda: desk.start(hold, on="MSFT", by=by),
        lambda: desk.stop(run, by=by),
        lambda: desk.stop(run, flatten=1),  # type: ignore[arg-type]
        lambda: desk.change_parameters(run, {}, by=by),
        lambda: desk.change_limits({"max_order_shares": 5}, by=by),
        lambda: desk.place("IBM", "buy", 1, by=by),
        lambda: desk.place("IBM", "buy", 1, client_key=by if by is not None else 5),  # type: ignore[arg-type]
        lambda: desk.watch("AAPL", by=by),
        lambda: desk.cancel_all(by=by),
        lambda: desk.halt("again", by=by),
        lambda: desk.halt("bad \ud800"),
        lambda: desk.halt(5),  # type: ignore[arg-type]
        lambda: desk.resume("on", id=halt.id, by=by),
        lambda: desk.resume("on \ud800", id=halt.id),
    ]

    for command in refused:
        with pytest.raises(DeskError, match=r"cannot be recorded, so nothing was done|must be text, got 5"):
            command()

    assert desk.risk().limits == limits
    assert [each.id for each in desk.risk().halts] == [halt.id]
    assert [(each.run_id, each.state) for each in desk.runs()] == [(run, "running")]
    assert desk.orders().filter(owner="manual").is_empty()
    path = Path(desk.journal_path)
    desk.close()
    replay(path)


def test_an_event_without_a_journal_form_fails_the_journal(tmp_path: Path) -> None:
    header = JournalHeader(program="ibdesk 0", mode="paper", account="", started_ns=1, limits=RiskLimits())
    journal = Journal.create(tmp_path / "paper-1.sqlite", header)
    mark = OrderIdMark.of(tmp_path, host="127.0.0.1", port=1, client_id=1)
    failures: list[str] = []
    recorder = Recorder(journal, mark, Performance(), on_failure=failures.append, on_recovery=print)
    recorder.record(Notice("fine", 1), ())

    recorder.record(Notice("br\udcfccke", 2), ())
    may_send = recorder.write(1)
    recorder.record(HaltTrading(failures[0], 3, "journal"), ())
    recorder.last_words()
    journal.close()

    assert not may_send
    assert len(failures) == 1
    assert "lacks event 2 (notice)" in failures[0]
    with JournalReader(journal.path) as reader:
        assert [entry.number for entry in reader.book_entries()] == [3]
        assert reader.first_lacking == 2
        with pytest.raises(JournalError, match="lacks event 2: it is damaged"):
            list(reader.entries())


@pytest.mark.parametrize("state", [None, "gateway.state"])
def test_a_desk_behind_a_journal_that_lacks_an_event_says_so(
    open_desk: OpenDesk, tmp_path: Path, state: str | None
) -> None:
    gateway = {"symbols": ["AAPL"], "seed": 7} | ({"state": str(tmp_path / state)} if state else {})
    first = open_desk(gateway)
    first.halt("enough")
    path = Path(first.journal_path)
    first.close()
    with sqlite3.connect(path) as connection:
        [(halt,)] = connection.execute("SELECT number FROM events WHERE instr(event, 'halt_trading')").fetchall()
        connection.execute("DELETE FROM events WHERE number = ?", (halt,))
    connection.close()

    second = open_desk(gateway)

    alerts = [row["text"] for row in second.feed.subscribe(lambda: None)[1][Topic.ALERTS]]
    assert any(f"{path} lacks event {halt}: it is damaged" in text for text in alerts), alerts
