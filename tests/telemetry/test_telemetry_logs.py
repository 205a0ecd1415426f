"""Lines of JSON in a file of bounded size, no secrets in them, and nobody who waits for a disk or a terminal."""

from __future__ import annotations

import json
import logging
import os
import re
import stat
import subprocess
import sys
import textwrap
import threading
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ibdesk.errors import ConfigError
from ibdesk.telemetry import Logs, LogSettings, correlated
from ibdesk.telemetry.masking import MASK, Mask

_log = logging.getLogger("ibdesk.somewhere")

SetUp = Callable[..., Logs]


@pytest.fixture
def set_up(tmp_path: Path) -> Iterator[SetUp]:
    opened: list[Logs] = []

    def begin(process: str = "engine", *, secrets: tuple[str, ...] = (), **settings: Any) -> Logs:
        settings = {"stderr_level": "critical"} | settings
        opened.append(Logs.set_up(process, LogSettings(**settings), state_folder=tmp_path, secrets=secrets))
        return opened[-1]

    yield begin
    for logs in reversed(opened):
        logs.close()


def lines(logs: Logs) -> list[dict[str, Any]]:
    """Every line of the file, once all has been written."""
    logs.close()
    assert logs.path is not None
    return [json.loads(line) for line in logs.path.read_text().splitlines()]


def test_a_line_has_the_fields_that_one_searches_for(set_up: SetUp) -> None:
    logs = set_up()

    with correlated("abc-12345"):
        _log.info("order %s sent", "O-1", extra={"order_id": "O-1", "symbol": "AAPL", "latency_ms": 7.2, "run": "r"})

    [line] = lines(logs)
    assert re.fullmatch(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line.pop("time"))
    assert list(line.items()) == [
        ("level", "INFO"),
        ("msg", "order O-1 sent"),
        ("logger", "ibdesk.somewhere"),
        ("process", "engine"),
        ("order_id", "O-1"),
        ("symbol", "AAPL"),
        ("latency_ms", 7.2),
        ("correlation_id", "abc-12345"),
        ("run", "r"),
    ]


def test_what_no_request_caused_has_no_correlation_id_and_a_given_one_comes_first(set_up: SetUp) -> None:
    logs = set_up()

    _log.info("tick")
    with correlated("of-the-task"):
        _log.info("filled", extra={"correlation_id": "of-the-order"})

    tick, filled = lines(logs)
    assert "correlation_id" not in tick
    assert filled["correlation_id"] == "of-the-order"


def test_an_exception_comes_with_its_traceback_on_one_line(set_up: SetUp) -> None:
    logs = set_up()

    try:
        raise ValueError("of all things")
    except ValueError:
        _log.exception("it failed")

    [line] = lines(logs)
    assert line["exception"].startswith("Traceback")
    assert line["exception"].endswith("ValueError: of all things")


def test_loggers_of_libraries_and_warnings_come_the_same_way(set_up: SetUp) -> None:
    logs = set_up()

    logging.getLogger("uvicorn.error").warning("started")
    logging.getLogger("ib_async.client").info("chatter")
    logging.getLogger("ib_async.client").warning("trouble")
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn("old ways", stacklevel=1)

    found = [(line["logger"], line["msg"][-40:].strip()) for line in lines(logs)]
    assert found[:2] == [("uvicorn.error", "started"), ("ib_async.client", "trouble")]
    assert found[2][0] == "py.warnings"


def test_arguments_are_read_when_the_line_is_made(set_up: SetUp) -> None:
    logs, book = set_up(), [1]

    _log.info("book %s", book)
    book.append(2)

    assert lines(logs)[0]["msg"] == "book [1]"


@given(st.text(), st.dictionaries(st.text(), st.none() | st.floats() | st.integers() | st.text() | st.binary()))
def test_whatever_is_logged_is_one_line_of_json(text: str, extra: dict[str, Any]) -> None:
    from ibdesk.telemetry.lines import json_formatter

    record = logging.makeLogRecord({"name": "x", "levelname": "INFO", "msg": text, "facts": extra})

    line = json_formatter(Mask(), "engine").format(record)

    assert "\n" not in line
    assert set(json.loads(line)) >= {"time", "level", "msg"}


def test_a_terminal_shows_control_characters_and_does_not_obey_them() -> None:
    from ibdesk.telemetry.lines import text_formatter

    record = logging.makeLogRecord({"name": "x", "levelname": "INFO", "msg": "user \x1b[2J\r gone", "symbol": "\x07"})

    line = text_formatter(Mask(), "engine", colors=False).format(record)

    assert not set(line) & {"\x1b", "\r", "\x07"}
    assert "\\x1b[2J\\x0d gone" in line


@pytest.mark.parametrize(
    "written",
    [
        "Authorization: Bearer {}",
        "{{'authorization': 'Bearer {}', 'x': 1}}",
        "X-API-Key: {}",
        "password={} and more",
        '{{"access_token": "{}"}}',
        "redis://user:{}@10.0.0.1:6379/0",
        "GET /login?code={}&next=/",
        "Cookie: ibdesk={}",
    ],
)
def test_what_looks_like_a_secret_is_masked(written: str) -> None:
    masked = Mask().text(written.format("s3cr3tS3cr3t"))

    assert "s3cr3t" not in masked
    assert MASK in masked


def test_a_json_web_token_is_masked_wherever_it_stands() -> None:
    token = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhbm5hIn0.c2lnbmF0dXJl"

    assert Mask().text(f"refused {token} of anna") == f"refused {MASK} of anna"


def test_known_secrets_and_secret_names_are_masked_also_in_tracebacks_and_tables(set_up: SetUp) -> None:
    logs = set_up(secrets=("hunter2-hunter2",))
    logs.hide("later-on")

    try:
        raise ValueError("wrong: hunter2-hunter2")
    except ValueError:
        _log.exception("hunter2-hunter2", extra={"facts": {"n": ["later-on"], "password": "x"}, "token_count": 3})

    logs.close()
    assert logs.path is not None
    written = logs.path.read_text()
    assert "hunter2" not in written
    assert "later-on" not in written
    line = json.loads(written)
    assert line["facts"] == {"n": [MASK], "password": MASK}
    assert line["token_count"] == 3


def test_the_files_are_bounded_in_size_and_number_and_private(set_up: SetUp, tmp_path: Path) -> None:
    logs = set_up(file_bytes=10_000, file_count=3)

    for number in range(600):
        _log.info("%06d %s", number, "x" * 60)
    logs.close()

    files = sorted((tmp_path / "logs").glob("engine.log*"))
    assert [file.name for file in files] == ["engine.log", "engine.log.1", "engine.log.2"]
    assert all(file.stat().st_size <= 10_000 for file in files)
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}
    newest_first = [json.loads(line)["msg"][:6] for file in files for line in reversed(file.read_text().splitlines())]
    assert newest_first == [f"{number:06d}" for number in range(599, 599 - len(newest_first), -1)]


def test_a_second_process_of_one_name_writes_a_file_of_its_own(set_up: SetUp, tmp_path: Path) -> None:
    first = set_up("run")
    second = Logs.set_up("run", LogSettings(stderr_level="critical"), state_folder=tmp_path)
    second.close()

    assert [path.name if path else "" for path in (first.path, second.path)] == ["run.log", "run-2.log"]


def test_closing_leaves_logging_as_it_was(set_up: SetUp) -> None:
    root = logging.getLogger()
    before = (root.handlers[:], root.level, logging.getLogger("ib_async").level)

    set_up().close()

    assert (root.handlers, root.level, logging.getLogger("ib_async").level) == before


def test_a_folder_that_cannot_be_written_stops_the_start_with_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "logs").write_text("in the way")

    with pytest.raises(ConfigError, match=r"log.folder .* cannot be written"):
        Logs.set_up("engine", LogSettings(), state_folder=tmp_path)


FLOOD = """
    import logging, sys, time
    from pathlib import Path
    from ibdesk.telemetry import Logs, LogSettings
    settings = LogSettings(stderr_level="info", stderr_format="json", queue_lines=1_000)
    logs = Logs.set_up("engine", settings, state_folder=Path(sys.argv[1]))
    log = logging.getLogger("flood")
    slowest = 0.0
    for number in range(3_000):
        began = time.perf_counter()
        log.info("%d %s", number, "x" * 200)
        slowest = max(slowest, time.perf_counter() - began)
        # The file keeps up, while standard error does not.
        while number % 500 == 499 and logs.path.read_bytes().count(b"\\n") <= number:
            time.sleep(0.001)
    print(logs.dropped > 1_000, slowest < 0.5, flush=True)
    sys.stdin.readline()
    log.info("and on")
    logs.close()
    print(logs.dropped, flush=True)
"""


@pytest.mark.process
def test_a_terminal_that_stands_still_holds_up_neither_the_program_nor_the_file(tmp_path: Path) -> None:
    # Nobody reads the pipe until the program has logged everything: what does not fit into it waits or is dropped.
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(FLOOD), str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as program:
        assert program.stdin is not None
        assert program.stdout is not None
        assert program.stderr is not None
        assert program.stdout.readline() == "True True\n"
        shown: list[str] = []
        reader = threading.Thread(target=lambda: shown.extend(program.stderr or ()))
        reader.start()
        program.stdin.write("\n")
        program.stdin.flush()
        dropped = int(program.stdout.readline())
        reader.join(20)

    in_file = [json.loads(line)["msg"] for line in (tmp_path / "logs" / "engine.log").read_text().splitlines()]
    assert [int(msg.split()[0]) for msg in in_file[:-1]] == list(range(3_000))
    told = [json.loads(line) for line in shown]
    assert sum(line.get("dropped", 0) for line in told) == dropped
    assert sum("dropped" not in line for line in told) == 3_001 - dropped


@pytest.mark.process
def test_a_full_disk_is_told_once_and_costs_nothing_but_the_lines(tmp_path: Path) -> None:
    program = """
        import logging, sys
        from pathlib import Path
        from ibdesk.telemetry import Logs, LogSettings
        with Logs.set_up("engine", LogSettings(), state_folder=Path(sys.argv[1])) as logs:
            import os
            os.dup2(os.open("/dev/full", os.O_WRONLY), logs._writers[1]._handler.stream.fileno())
            for _ in range(5):
                logging.getLogger("x").info("lost")
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program), str(tmp_path)], capture_output=True, text=True, check=True
    )

    assert done.stderr.count("cannot be written") == 1
    assert os.strerror(28) in done.stderr
