"""The audit log: appended to by many at once, intact after any death, and no line can change unnoticed."""

from __future__ import annotations

import json
import os
import random
import signal
import stat
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ibdesk.store.audit import CURRENT, TORN, AuditEntry, AuditError, AuditLog, files_of
from ibdesk.store.audit_proof import newest, verify
from ibdesk.telemetry import correlated


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "audit"


@pytest.fixture
def log(folder: Path) -> AuditLog:
    return AuditLog(folder)


def write(log: AuditLog, count: int = 5) -> None:
    log.extend([AuditEntry(action="order.cancel", by="anna", outcome="done", facts={"n": n}) for n in range(count)])


def test_a_line_says_who_did_what_and_carries_the_id_of_the_request(log: AuditLog) -> None:
    with correlated("abc-12345"):
        line = log.append("trading.halt", by="anna", role="admin", outcome="done", reason="news", token="s3cr3t")

    [written] = [json.loads(text) for text in log.path.read_text().splitlines()]
    assert written["time"].endswith("Z")
    assert written["facts"] == {"reason": "news", "token": "***"}
    assert (line.number, line.by, line.role, line.correlation_id) == (1, "anna", "admin", "abc-12345")
    assert stat.S_IMODE(log.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(log.folder.stat().st_mode) == 0o700


def test_an_untouched_record_is_proved(log: AuditLog) -> None:
    write(log)

    report = verify(log.folder)

    assert (report.first, report.last, report.files, report.broken) == (1, 5, 1, "")
    # The head is what one keeps elsewhere to show later that the end was not cut off.
    assert report.head == AuditLog(log.folder).append("x", by="", outcome="").previous


def change(lines: list[bytes]) -> list[bytes]:
    lines[2] = lines[2].replace(b"anna", b"bert")
    return lines


def take_out(lines: list[bytes]) -> list[bytes]:
    return lines[:1] + lines[2:]


def swap(lines: list[bytes]) -> list[bytes]:
    return [lines[0], lines[2], lines[1], *lines[3:]]


def put_in(lines: list[bytes]) -> list[bytes]:
    return [*lines[:2], lines[1], *lines[2:]]


def blot_out(lines: list[bytes]) -> list[bytes]:
    lines[2] = b"x" * len(lines[2])
    return lines


def behead(lines: list[bytes]) -> list[bytes]:
    return lines[1:]


@pytest.mark.parametrize(
    ("tamper", "place"),
    [(change, 4), (take_out, 2), (swap, 2), (put_in, 3), (blot_out, 4), (behead, 1)],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_the_first_line_that_is_not_as_it_was_written_is_named(
    log: AuditLog, tamper: Callable[[list[bytes]], list[bytes]], place: int
) -> None:
    write(log)
    log.path.write_bytes(b"".join(tamper(log.path.read_bytes().splitlines(keepends=True))))

    assert verify(log.folder).broken.startswith(f"{CURRENT}, line {place}: ")


@given(data=st.data())
def test_no_byte_before_the_last_line_can_be_changed_unseen(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    log = AuditLog(tmp_path_factory.mktemp("audit"))
    write(log)
    written = bytearray(log.path.read_bytes())
    last = written.rstrip(b"\n").rindex(b"\n")
    position = data.draw(st.integers(0, last))
    written[position] ^= data.draw(st.integers(1, 255))
    log.path.write_bytes(written)

    assert verify(log.folder).broken


def test_the_chain_goes_on_over_files(folder: Path) -> None:
    log = AuditLog(folder, file_bytes=1_000)
    for _ in range(12):
        write(log, 1)

    report = verify(folder)
    first, *others = files_of(folder)

    assert (report.last, report.broken) == (12, "")
    assert report.files >= 3
    assert first.name == "audit-000000000001.jsonl"
    # One file alone is proved in itself; without it, the record is not whole.
    assert verify(others[0]).broken == ""
    others[0].unlink()
    assert "lines are missing" in verify(folder).broken


@pytest.mark.parametrize("kept", [1, 40, -1])
def test_half_a_line_is_told_of_and_the_chain_goes_on(log: AuditLog, kept: int) -> None:
    write(log, 3)
    *lines, last = log.path.read_bytes().splitlines(keepends=True)
    # A loss of power in the middle of a write leaves this.
    log.path.write_bytes(b"".join(lines) + last[:kept])

    line = log.append("user.add", by="anna", outcome="done")

    report = verify(log.folder)
    assert report.broken == ""
    # A line that lacks nothing but its end is as good as whole.
    assert report.torn == (0 if kept == -1 else 1)
    assert line.number == 4
    told = [found.action for found in newest(log.folder, 2)]
    assert told == (["order.cancel", "user.add"] if kept == -1 else [TORN, "user.add"])


def test_the_first_line_of_a_file_may_be_the_half_one(folder: Path) -> None:
    log = AuditLog(folder, file_bytes=300)
    write(log, 2)
    assert not log.path.exists()
    log.path.write_bytes(b'{"number":3,"ti')

    write(log, 1)

    report = verify(folder)
    assert (report.last, report.torn, report.broken) == (4, 1, "")


def test_a_record_that_was_spoiled_goes_on_and_says_so(log: AuditLog) -> None:
    write(log, 3)
    log.path.write_bytes(log.path.read_bytes() + b"\0" * 100 + b"\n")

    write(log, 1)

    assert [line.action for line in newest(log.folder, 2)] == [TORN, "order.cancel"]
    assert verify(log.folder).broken == ""


# It dies in the middle of a write: the kernel takes as many bytes as the limit allows, and kills at the next one.
DYING = """
    import resource, signal, sys
    from pathlib import Path
    from ibdesk.store.audit import AuditLog
    log = AuditLog(Path(sys.argv[1]))
    log.append("first", by="anna", outcome="done")
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
    resource.setrlimit(resource.RLIMIT_FSIZE, (log.path.stat().st_size + 40,) * 2)
    log.append("second", by="anna", outcome="done")
"""


def test_a_process_that_dies_while_it_writes_spoils_nothing(folder: Path) -> None:
    died = subprocess.run([sys.executable, "-c", textwrap.dedent(DYING), str(folder)], check=False)
    assert died.returncode == -signal.SIGXFSZ
    assert not (folder / CURRENT).read_bytes().endswith(b"\n")

    AuditLog(folder).append("third", by="bert", outcome="done")

    assert [line.action for line in newest(folder, 9)] == ["first", TORN, "third"]
    assert verify(folder).broken == ""


def test_what_a_full_disk_did_not_take_leaves_nothing_behind(folder: Path) -> None:
    # Without the signal, the same limit is an error like that of a full disk.
    program = textwrap.dedent(DYING).replace("signal.SIG_DFL", "signal.SIG_IGN")
    failed = subprocess.run([sys.executable, "-c", program, str(folder)], check=False, capture_output=True, text=True)

    assert "AuditError: the audit log" in failed.stderr
    report = verify(folder)
    assert (report.last, report.torn, report.broken) == (1, 0, "")


WRITER = """
    import sys
    from pathlib import Path
    from ibdesk.store.audit import AuditLog
    log = AuditLog(Path(sys.argv[1]), file_bytes=20_000)
    while True:
        print(log.append("x", by=sys.argv[2], outcome="done", padding="y" * 300).number, flush=True)
"""


@pytest.mark.proof
def test_many_processes_append_and_some_are_killed(folder: Path) -> None:
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(WRITER), str(folder), name], stdout=subprocess.PIPE, text=True
        )
        for name in ("anna", "bert", "carl")
    ]
    chance, told = random.Random(4), []
    for writer in writers:
        assert writer.stdout is not None
        told += [int(writer.stdout.readline()) for _ in range(chance.randrange(40, 80))]
        os.kill(writer.pid, signal.SIGKILL)
        # The last word of a killed one may be half a number.
        told += [int(text) for text in writer.stdout.read().splitlines()[:-1]]
        writer.stdout.close()
        writer.wait()

    report = verify(folder)
    assert report.broken == ""
    assert report.files > 1
    assert len(set(told)) == len(told)
    assert set(told) <= {line.number for line in newest(folder, 100_000)}


def test_a_line_that_is_too_long_is_cut_and_says_so(log: AuditLog) -> None:
    line = log.append("x", by="anna", outcome="done", text="y" * 100_000)

    assert len(log.path.read_bytes()) < 1_000
    assert line.number == 1
    assert "too long" in newest(log.folder, 1)[0].facts["cut"]
    assert verify(log.folder).broken == ""


def test_one_finds_what_a_person_did(log: AuditLog) -> None:
    log.append("order.cancel", by="anna", outcome="done")
    log.append("trading.halt", by="anna", outcome="refused")
    log.append("order.place", by="bert", outcome="done")

    assert [line.number for line in newest(log.folder, 10, by="anna")] == [1, 2]
    assert [line.number for line in newest(log.folder, 10, action="order")] == [1, 3]
    assert [line.number for line in newest(log.folder, 10, outcome="done", by="bert")] == [3]
    assert [line.number for line in newest(log.folder, 2)] == [2, 3]


def test_no_record_is_a_sentence(folder: Path) -> None:
    with pytest.raises(AuditError, match="there is no audit log in"):
        verify(folder)
