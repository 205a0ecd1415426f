"""What can be asked of a desk and what it can be told. Each is written once, and runs on the desk's own loop."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ibdesk.desk.commands import Commands
from ibdesk.desk.questions import Questions
from ibdesk.desk.surroundings import Surroundings

if TYPE_CHECKING:
    from ibdesk.desk.runtime import Runtime


class Operations(Commands, Questions):
    """The desk's commands and questions, as coroutines for its loop."""

    def __init__(self, runtime: Runtime, surroundings: Surroundings) -> None:
        Commands.__init__(self, runtime)
        Questions.__init__(self, runtime, surroundings)
