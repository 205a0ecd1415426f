"""All commands and queries of a desk. Each is defined once and runs on the desk's own loop."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ibdesk.desk.commands import Commands
from ibdesk.desk.process_context import ProcessContext
from ibdesk.desk.queries import Queries

if TYPE_CHECKING:
    from ibdesk.desk.runtime import Runtime


class Operations(Commands, Queries):
    """The desk's commands and queries, as coroutines for its loop."""

    def __init__(self, runtime: Runtime, process_context: ProcessContext) -> None:
        Commands.__init__(self, runtime)
        Queries.__init__(self, runtime, process_context)
