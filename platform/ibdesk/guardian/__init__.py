"""The guardian: a second process beside the engine that watches the account itself and can stop everything in it.

It has its own connection to TWS, under its own client id, and no strategy code. `decisions` says when it acts, `plan`
how: both are values in, values out, so that a simulation drives them. `watch.Watch` joins them to TWS (`link`), to the
engine (`engine_connection`, `engine_process`), to people (`command_socket`),
and to the account's halts. docs/guardian.md explains it.

Keep it small: nothing here loads Polars, pydantic, ib_async, an engine or a strategy, and a test measures its memory.
"""
