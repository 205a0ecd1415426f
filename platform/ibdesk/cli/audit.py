"""`ibdesk audit`: verifies the audit log and shows its newest lines."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import msgspec
from rich.progress import Progress
from rich.text import Text

from ibdesk.cli.screen import console, line, plain_table, show_table
from ibdesk.desk import DeskSettings
from ibdesk.store.audit import AuditError, AuditLine, files_of
from ibdesk.store.audit_proof import newest, verify


def verify_record(path: Path | None, *, config: Path | None, head: str) -> None:
    """Verify an audit log, or one of its files, and print the result.

    Raises:
        AuditError: If there is none, a line was changed, or no line has the hash `head`.
    """
    chosen = path or _folder(config)
    size = sum(file.stat().st_size for file in (files_of(chosen) if chosen.is_dir() else [chosen]) if file.exists())
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("reading", total=size)
        report = verify(chosen, head=head, read=lambda count: progress.advance(task, count))
    if report.broken:
        raise AuditError(f"the audit log was changed, at {report.broken}")
    if head and not report.has_head:
        raise AuditError(
            f"no line has the hash {head}: the end of the audit log was cut off, or the hash is from another log"
        )
    console.print(f"[green]whole[/]: {report.last - report.first + 1 if report.last else 0:,} lines, none changed")
    line("lines", f"{report.first:,} to {report.last:,} in {report.files} file{'s' if report.files != 1 else ''}")
    if report.torn:
        line("torn", f"{report.torn} by processes that died while writing")
    line("head", Text(report.head))


def show_record(
    path: Path | None,
    *,
    config: Path | None,
    last: int,
    by: str | None,
    action: str | None,
    outcome: str | None,
    as_json: bool,
) -> None:
    """Print the newest lines that match.

    Raises:
        AuditError: If there is no audit log, or it cannot be read.
    """
    lines = newest(path or _folder(config), last, by=by, action=action, outcome=outcome)
    if as_json:
        for each in lines:
            sys.stdout.write(msgspec.json.encode(each).decode() + "\n")
        return
    table = plain_table("number", "time", "action", "by", "outcome", "facts", title="")
    for each in lines:
        table.add_row(f"{each.number:,}", each.time, each.action, each.by or "-", each.outcome, _facts(each))
    show_table(table)


def _facts(line: AuditLine) -> Text:
    facts = {name: value for name, value in line.facts.items() if value not in ("", None)}
    if line.correlation_id:
        facts["correlation_id"] = line.correlation_id
    return Text(", ".join(f"{n}={v if isinstance(v, str) else json.dumps(v)}" for n, v in facts.items()))


def _folder(config: Path | None) -> Path:
    return DeskSettings.load(config=config).state_folder / "audit"
