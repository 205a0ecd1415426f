"""The guardian: a second process beside the engine that watches the account itself and can stop everything in it.

It has its own connection to TWS, under its own client id, and no strategy code. `decisions` decides when it acts and
`plan` how; both take values and return values, so that a simulation can drive them. `watch.Watch` connects them to TWS
(`link`), to the engine (`engine_connection`, `engine_process`), to people (`command_socket`) and to the account's
halts. docs/guardian.md explains it.

Keep it small: this package loads no Polars, pydantic, ib_async, engine or strategy. A test measures its memory.
"""
