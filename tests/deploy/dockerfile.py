"""A Dockerfile as the tests need it: its instructions, with what each stage ends up with."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent


class Dockerfile:
    """The instructions of a Dockerfile; lists and environment are those of its last stage."""

    def __init__(self, path: Path = ROOT / "Dockerfile") -> None:
        lines = [line for line in path.read_text(encoding="utf-8").splitlines() if not line.lstrip().startswith("#")]
        whole = re.sub(r"\\\n\s*", " ", "\n".join(lines))
        parts = (line.partition(" ") for line in whole.splitlines() if line.strip())
        self.instructions = [(name.upper(), rest.strip()) for name, _, rest in parts]
        last = max(number for number, (name, _) in enumerate(self.instructions) if name == "FROM")
        self._last_stage = self.instructions[last:]

    def all(self, name: str) -> list[str]:
        """What each instruction of this name says, in every stage."""
        return [rest for found, rest in self.instructions if found == name]

    def last(self, name: str) -> str:
        """What the last instruction of this name in the last stage says."""
        return [rest for found, rest in self._last_stage if found == name][-1]

    @property
    def environment(self) -> dict[str, str]:
        """The variables that a container has."""
        words = [word for found, rest in self._last_stage if found == "ENV" for word in shlex.split(rest)]
        return dict(word.split("=", 1) for word in words)

    @property
    def entrypoint(self) -> list[str]:
        """The program that every container runs."""
        return list(json.loads(self.last("ENTRYPOINT")))

    @property
    def health_check(self) -> list[str]:
        """The command that tells whether a container is well."""
        return list(json.loads(self.last("HEALTHCHECK").partition("CMD ")[2]))

    @property
    def labels(self) -> dict[str, str]:
        """What the image says about itself."""
        return dict(word.split("=", 1) for word in shlex.split(self.last("LABEL")))
