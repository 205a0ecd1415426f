"""The settings: one tree of sections, read from a file, the environment and the command line.

A section stands beside what it sets: `tws.TwsSettings`, `gateway.GatewaySettings`, `engine.RiskLimits`,
`store.RedisSettings`. The roots that hang sections into a tree are `desk.DeskSettings` and, with all that the server
adds, `ibdesk_server.settings.Settings`.

Names are loaded at first use: the guardian, which must stay small, writes private files without loading pydantic.
"""

from typing import TYPE_CHECKING

from ibdesk.lazy import at_first_use

if TYPE_CHECKING:
    from ibdesk.config.document import as_plain, as_toml, example
    from ibdesk.config.layer import Given
    from ibdesk.config.paths import Mode, state_folder
    from ibdesk.config.private_files import owner_only, private_folder, secure_state_folder, write_private
    from ibdesk.config.section import Section
    from ibdesk.config.setting import MASK
    from ibdesk.config.tree import DEFAULT, SettingsTree

__all__ = [
    "DEFAULT",
    "MASK",
    "Given",
    "Mode",
    "Section",
    "SettingsTree",
    "as_plain",
    "as_toml",
    "example",
    "owner_only",
    "private_folder",
    "secure_state_folder",
    "state_folder",
    "write_private",
]

__getattr__, __dir__ = at_first_use(__name__, __file__)
