"""`ibdesk audit` on a record that somebody wrote, and that somebody else may have changed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ibdesk.store.audit import AuditLog
from ibdesk.store.audit_proof import verify

Cli = Callable[..., Any]


@pytest.fixture
def log(tmp_path: Path) -> AuditLog:
    log = AuditLog(tmp_path / "audit")
    log.append("orders.cancel_one", by="anna", role="trader", outcome="done", path="/api/v1/orders/1")
    log.append("risk.halt", by="bert", role="trader", outcome="done", correlation="abc-12345")
    log.append("orders.place", by="anna", role="trader", outcome="refused")
    return log


def test_a_whole_record_is_proved_and_its_end_is_named(cli: Cli, log: AuditLog) -> None:
    told = cli("audit", "verify", str(log.folder))

    assert (told.code, told.err) == (0, "")
    assert "whole: 3 lines, none changed" in told.out
    assert verify(log.folder).head in told.out


def test_the_first_line_that_was_changed_is_told(cli: Cli, log: AuditLog) -> None:
    log.path.write_bytes(log.path.read_bytes().replace(b'"bert"', b'"carl"'))

    told = cli("audit", "verify", str(log.folder))

    assert (told.code, told.out) == (1, "")
    assert "the audit log was changed, at audit.jsonl, line 3" in told.err


def test_an_end_that_was_cut_off_shows_by_the_hash_that_was_kept(cli: Cli, log: AuditLog) -> None:
    head = verify(log.folder).head
    assert cli("audit", "verify", str(log.folder), "--head", head).code == 0
    lines = log.path.read_bytes().splitlines(keepends=True)
    log.path.write_bytes(b"".join(lines[:2]))

    told = cli("audit", "verify", str(log.folder), "--head", head)

    assert cli("audit", "verify", str(log.folder)).code == 0
    assert told.code == 1
    assert "cut off" in told.err


def test_one_sees_what_a_person_did(cli: Cli, log: AuditLog) -> None:
    table = cli("audit", "show", str(log.folder), "--by", "bert")
    lines = cli("audit", "show", str(log.folder), "--action", "orders", "--json", "--last", "1")

    assert "risk.halt" in table.out
    assert "anna" not in table.out
    [found] = [json.loads(line) for line in lines.out.splitlines()]
    assert (found["action"], found["by"], found["outcome"]) == ("orders.place", "anna", "refused")


def test_no_record_is_a_sentence(cli: Cli, tmp_path: Path) -> None:
    told = cli("audit", "verify", str(tmp_path / "nothing"))

    assert told.code == 1
    assert told.err.startswith("ibdesk: there is no audit log in ")
