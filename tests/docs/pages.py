"""The pages of the documentation, and what stands in their fenced blocks."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
PAGES = [README, ROOT / "deploy" / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
# Prose whose examples are run elsewhere, or that has none.
LINKED_PAGES = [*PAGES, ROOT / "CHANGELOG.md", *(page for page in [ROOT / "CONTRIBUTING.md"] if page.exists())]

_PARTS = re.compile(
    r"^(?P<indent> *)```(?P<language>[a-z]\w*)\n(?P<body>.*?)^(?P=indent)```$"
    r"|^<!-- not run: (?P<reason>[^\n]+?) -->$"
    r"|^<!-- run before\n(?P<before>.*?)^-->$",
    re.MULTILINE | re.DOTALL,
)


class Block(NamedTuple):
    """A fenced block, or the Python of a comment `<!-- run before … -->`, which readers do not see."""

    page: Path
    language: str
    text: str
    line: int
    not_run: str = ""
    """Why the block is not run, from the comment `<!-- not run: … -->` above it; empty if it is run."""

    @property
    def place(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def blocks_of(page: Path) -> list[Block]:
    """Return the blocks of a page in their order."""
    found: list[Block] = []
    text, reason = page.read_text(encoding="utf-8"), ""
    for part in _PARTS.finditer(text):
        line = text.count("\n", 0, part.start()) + 1
        if part["reason"]:
            reason = part["reason"]
        elif part["before"]:
            found.append(Block(page, "before", part["before"], line))
        else:
            body = "\n".join(each.removeprefix(part["indent"]) for each in part["body"].splitlines())
            found.append(Block(page, part["language"], body, line, reason))
            reason = ""
    return found


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))
