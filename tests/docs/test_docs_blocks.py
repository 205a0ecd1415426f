"""What README and docs tell people to type works: Python, consoles, commands, settings, links.

A page is typed from top to bottom in a folder of its own: its Python blocks in one namespace, against a desk on the
embedded gateway; blocks with `def test_…` by pytest; the commands of `console` blocks in a shell, and their output is
compared (`…` stands for any text, on a line of its own for any lines; a command that ends with `&` stays until the page
ends). A Python block whose first line is a comment with a path, such as `# strategies/my.py`, is also saved there. The
lines of `sh` blocks are parsed and not run. Two comments, which readers do not see, help::

    <!-- not run: needs TWS on port 7497 -->       the next block is compiled or parsed, and not run

    <!-- run before
    Path("IBM.txt").write_text(…)                  Python of the page's namespace
    -->
"""

from __future__ import annotations

import ast
import json
import re
import shlex
import tomllib
from pathlib import Path

import pytest
import typer
from tests.docs.console import agrees, steps_of
from tests.docs.pages import LINKED_PAGES, PAGES, README, ROOT, Block, blocks_of, name_of
from tests.docs.reader import Reader

from ibdesk.cli.app import root
from ibdesk.cli.common import Common
from ibdesk.gateway import FaultScript
from ibdesk_server.settings import Settings

pytestmark = pytest.mark.timeout(300)

RUN = ("python", "console", "before")
# Commands of a shell that are none of ibdesk's.
FOREIGN = {
    "make", "pip", "jupyter", "pytest", "python", "docker", "kubectl", "systemctl", "sudo", "curl", "cd", "cp", "cat",
    "chmod", "export", "openssl", "redis-server", "grep", "echo", "mkdir", "install", "git", "kill", "ls", "tail", "jq",
    "uv", "source", "umask", "head", "useradd", "journalctl", "test", "sleep", "set", "for", "done", "do", "ulimit",
}  # fmt: skip


def typed_pages() -> list[Path]:
    return [page for page in PAGES if any(each.language in RUN and not each.not_run for each in blocks_of(page))]


def blocks(*languages: str) -> list[Block]:
    return [each for page in PAGES for each in blocks_of(page) if each.language in languages]


@pytest.mark.parametrize("page", typed_pages(), ids=name_of)
def test_a_page_can_be_typed_from_top_to_bottom(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reader = Reader(tmp_path)
    monkeypatch.chdir(tmp_path)
    for name, value in reader.environment.items():
        monkeypatch.setenv(name, value)

    try:
        for block in blocks_of(page):
            if block.language in RUN and not block.not_run:
                reader.read(block)
    finally:
        reader.close()


@pytest.mark.parametrize("block", [each for each in blocks("python") if each.not_run], ids=lambda block: block.place)
def test_a_block_that_is_not_run_is_python(block: Block) -> None:
    compile(block.text, block.place, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_no_example_hides_in_a_fence_without_a_language(page: Path) -> None:
    hidden = re.findall(
        r"^ *```\n *(?:\$ )?(?:[A-Z_]+=\S+ )*(?:\S*/)?(?:ibdesk|make|python|docker) .*$", page.read_text(), re.M
    )

    assert hidden == []


def lines_of(block: Block) -> list[str]:
    if block.language == "console":
        lines = [step.command.removesuffix("&") for step in steps_of(block.text)]
    else:
        lines = block.text.replace("\\\n", " ").splitlines()
    lines = [re.sub(r"(^|\s+)#.*", "", line).strip() for line in lines]
    return [line for line in lines if line]


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_each_command_of_a_page_exists_with_its_options(page: Path) -> None:
    targets = set(re.findall(r"^\.PHONY: (\w+)$", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for block in blocks_of(page):
        if block.language not in ("sh", "console"):
            continue
        for line in lines_of(block):
            for words in commands_of(line):
                program = re.sub(r"^.*/|(?<=python)3[.0-9]*$", "", words[0])
                if program == "ibdesk":
                    parse(words[1:])
                elif program == "make":
                    assert words[1] in targets, f"{block.place}: {line}"
                else:
                    assert program in FOREIGN or (ROOT / words[0]).exists(), f"{block.place}: {line}"


def commands_of(line: str) -> list[list[str]]:
    """Return the commands of a line, without the variables before them and without redirections."""
    parts = shlex.shlex(line, posix=True, punctuation_chars="|&;<>")
    parts.whitespace_split, parts.commenters = True, ""
    commands: list[list[str]] = [[]]
    for word in parts:
        if set(word) <= set("|&;"):
            commands.append([])
        elif commands[-1] or not re.fullmatch(r"[A-Z_0-9]+=.*", word):
            commands[-1].append(word)
    for words in commands:
        for mark in (">", ">>", "<"):
            if mark in words:
                del words[words.index(mark) :]
    return [words for words in commands if words]


@pytest.mark.parametrize("wrong", [["web", "--workrs", "4"], ["audit", "shw"], ["engine", "--tws-port", "many"]])
def test_a_command_that_does_not_exist_is_noticed(wrong: list[str]) -> None:
    with pytest.raises(typer.TyperException):
        parse(wrong)


def parse(words: list[str]) -> None:
    """Parse a command line without carrying it out.

    Raises:
        Exception: If there is no such command or option, or a value is not of its type.
    """
    command, context = root(), None
    while True:
        context = command.make_context("ibdesk", list(words), parent=context, obj=Common())
        if not hasattr(command, "resolve_command"):
            return
        rest = [*getattr(context, "protected_args", ()), *getattr(context, "_protected_args", ()), *context.args]
        if not rest:
            return
        _, command, words = command.resolve_command(context, rest)


@pytest.mark.parametrize("block", blocks("toml"), ids=lambda block: block.place)
def test_settings_and_fault_scripts_of_the_pages_are_accepted(block: Block, tmp_path: Path) -> None:
    if "fault" in tomllib.loads(block.text):
        (tmp_path / "faults.toml").write_text(block.text)
        FaultScript.read(tmp_path / "faults.toml")
        return
    (tmp_path / "secret").write_text("redis://127.0.0.1:6379\n")
    (tmp_path / "secret").chmod(0o600)
    text = re.sub(r"/run/secrets/\w+", str(tmp_path / "secret"), block.text)
    (tmp_path / "ibdesk.toml").write_text(text)

    Settings.load(config=tmp_path / "ibdesk.toml")


@pytest.mark.parametrize("block", blocks("json"), ids=lambda block: block.place)
def test_json_of_the_pages_is_json(block: Block) -> None:
    assert json.loads(block.text)


@pytest.mark.parametrize("page", LINKED_PAGES, ids=name_of)
def test_each_link_of_a_page_leads_somewhere(page: Path) -> None:
    for file, anchor in links_of(page):
        target = page.parent / file if file else page
        assert target.exists(), f"{page.name} links to {file}"
        # The build checks the anchors between its own pages, also those that it makes itself.
        assert not anchor or page.is_relative_to(ROOT / "docs") or anchor in anchors_of(target), (
            f"{page.name} links to {file}#{anchor}"
        )


def test_the_readme_is_short() -> None:
    assert README.stat().st_size <= 6_000


def links_of(page: Path) -> list[tuple[str, str]]:
    """Return the relative links of a page outside of its code: the file and the anchor of each."""
    text = re.sub(r"^ *```.*?^ *```|`[^`\n]*`", "code", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    found = re.findall(r"\]\((?![a-z]+:)([^)#\s]*)#?([^)\s]*)\)", text)
    assert len(found) == text.count("](") - len(re.findall(r"\]\([a-z]+:", text)), page.name
    return found


def anchors_of(page: Path) -> set[str]:
    """Return the anchors that GitHub gives to the headings of a page, and those that a page names itself."""
    text = page.read_text()
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    named = re.findall(r"^\(([\w-]+)\)=$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings} | set(named)


def test_a_transcript_may_leave_out_text_and_lines() -> None:
    printed = "one\ntwo 2\nthree\nfour"

    assert agrees(["one", "two …", "…", "four"], printed)
    assert agrees(["one", "…"], printed)
    assert agrees(["…", "three", "four"], printed)
    assert agrees(["…"], printed)
    assert not agrees(["one", "two …", "four"], printed)
    assert not agrees(["one", "…", "five"], printed)
    assert not agrees(["two 2", "…"], printed)
