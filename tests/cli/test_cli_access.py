"""Users and keys from the command line."""

from __future__ import annotations

import json
import os
import pty
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ibdesk_server.security.directory import Directory
from ibdesk_server.security.keys import ApiKeys
from ibdesk_server.security.principal import Role
from ibdesk_server.security.users import Users

Cli = Callable[..., Any]
Write = Callable[[str, str], Path]
PASSWORD = "four words nobody guesses"


@pytest.fixture(autouse=True)
def cheap_hashes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IBDESK_SERVER__SECURITY__PASSWORD_ROUNDS", "2")
    monkeypatch.setenv("IBDESK_SERVER__SECURITY__PASSWORD_MEMORY_KIB", "19456")


@pytest.fixture
def directory_file(tmp_path: Path) -> Path:
    return tmp_path / "state" / "ibdesk" / "access.db"


@pytest.fixture
def add(cli: Cli, write: Write) -> Callable[[str, str], Any]:
    file = write("password", PASSWORD + "\n")
    return lambda name, role: cli("users", "add", name, "--role", role, "--password-file", file)


def test_a_user_is_added_listed_changed_and_removed(cli: Cli, add: Any, directory_file: Path) -> None:
    added = add("vera", "viewer")
    first = cli("users", "list")
    promoted, kept_out = cli("users", "role", "vera", "trader"), cli("users", "disable", "vera")
    second = cli("users", "list")
    gone = cli("users", "remove", "vera")

    assert added.out == "vera can log in as viewer\n"
    assert all(answer.code == 0 for answer in (first, promoted, kept_out, second, gone))
    assert "viewer" in first.out
    assert "trader" in second.out
    assert "disabled" in second.out
    assert Users(Directory(directory_file)).all() == []
    lines = [
        json.loads(line) for file in directory_file.parent.glob("audit/*") for line in file.read_text().splitlines()
    ]
    assert [line["action"] for line in lines] == ["users.add", "users.role", "users.disable", "users.remove"]
    assert stat.S_IMODE(directory_file.stat().st_mode) == 0o600


def test_a_new_password_ends_the_logins_and_so_does_revoking(
    cli: Cli, add: Any, write: Write, directory_file: Path
) -> None:
    add("vera", "viewer")
    users = Users(Directory(directory_file))
    generations = [users.get("vera").generation]

    for command in (("passwd", "--password-file", write("new", "five other words to remember")), ("revoke",)):
        assert cli("users", command[0], "vera", *command[1:]).code == 0
        generations.append(users.get("vera").generation)

    assert len(set(generations)) == 3


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("users", "add", "vera", "--role", "viewer"), "there is no terminal to type a password on: give a file"),
        (("users", "add", "vera", "--role", "king"), "invalid value for '--role'"),
        (("users", "add", "vera", "--role", "viewer", "--password-file", "/none"), "cannot be read from /none"),
        (("users", "remove", "nobody"), "there is no user 'nobody': `ibdesk users list` shows all"),
        (("keys", "revoke", "nothing"), "there is no key 'nothing': `ibdesk keys list` shows all"),
        (
            ("keys", "create", "bot", "--expires", "soon"),
            "Invalid --expires 'soon'. Use days or hours, e.g. 90d or 12h.",
        ),
        (("keys", "create", "bot", "--scope", "moon:read"), "'moon:read' is not a scope"),
        (("keys", "create", "bot", "--expires", "9999d"), "a key is valid for at most 731 days, not for 9999"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(
    cli: Cli, arguments: tuple[str, ...], sentence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", open(os.devnull))  # noqa: PTH123, SIM115 - a stream without a terminal
    told = cli(*arguments)
    sys.stdin.close()

    assert told.code in {1, 2}
    assert sentence in told.err
    assert len(told.err.splitlines()) == 1


def test_an_easy_password_is_refused_and_not_repeated(cli: Cli, write: Write) -> None:
    told = cli("users", "add", "vera", "--role", "viewer", "--password-file", write("easy", "hunter2"))

    assert told.err == "ibdesk: a password must have at least 12 characters, got 7\n"


def test_a_key_is_printed_once_or_written_to_a_file_of_its_owner(
    cli: Cli, tmp_path: Path, directory_file: Path
) -> None:
    file = tmp_path / "bot.key"

    printed = cli("keys", "create", "grafana", "--scope", "health:read,feed", "--expires", "12h")
    written = cli("keys", "create", "bot", "--role", "trader", "--file", file)
    listed = cli("keys", "list")

    keys = ApiKeys(Directory(directory_file))
    grafana, bot = keys.holder(printed.out.split()[-1]), keys.holder(file.read_text().strip())
    assert grafana is not None
    assert grafana.scopes == frozenset({"feed", "health:read"})
    assert bot is not None
    assert bot.role is Role.TRADER
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert file.read_text().strip() not in written.out + listed.out
    assert printed.out.split()[-1] not in listed.out
    assert cli("keys", "create", "again", "--file", file).err == f"ibdesk: {file} already exists: choose another file\n"


@pytest.mark.process
def test_a_typed_password_is_asked_for_twice_and_not_shown(tmp_path: Path, directory_file: Path) -> None:
    ours, theirs = pty.openpty()
    environment = {name: value for name, value in os.environ.items() if not name.startswith("XDG_")}
    environment |= {"HOME": str(tmp_path), "XDG_STATE_HOME": str(tmp_path / "state")}
    command = [sys.executable, "-m", "ibdesk.cli", "users", "add", "vera", "--role", "viewer"]
    process = subprocess.Popen(
        command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment, start_new_session=True
    )
    os.close(theirs)
    shown = b""
    for prompt in (b"Password: ", b"Again: "):
        while not shown.endswith(prompt):
            shown += os.read(ours, 1_024)
        os.write(ours, PASSWORD.encode() + b"\n")
    while b"can log in" not in shown:
        shown += os.read(ours, 1_024)
    process.wait(30)
    os.close(ours)

    assert PASSWORD.encode() not in shown
    assert Users(Directory(directory_file)).get("vera").role is Role.VIEWER
