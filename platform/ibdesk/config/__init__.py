"""The settings: one tree of sections, read from a file, the environment and the command line.

A section stands beside what it sets: `tws.TwsSettings`, `gateway.GatewaySettings`, `engine.RiskLimits`,
`store.RedisSettings`. The roots that hang sections into a tree are `desk.DeskSettings` and, with all that the server
adds, `ibdesk_server.settings.Settings`.
"""

from ibdesk.config.document import as_plain, as_toml, example
from ibdesk.config.doubts import doubts
from ibdesk.config.house import Mode, state_folder
from ibdesk.config.layer import Given
from ibdesk.config.private_files import owner_only, private_folder, secure_state_folder, write_private
from ibdesk.config.section import Section
from ibdesk.config.setting import MASK
from ibdesk.config.tree import SettingsTree

__all__ = [
    "MASK",
    "Given",
    "Mode",
    "Section",
    "SettingsTree",
    "as_plain",
    "as_toml",
    "doubts",
    "example",
    "owner_only",
    "private_folder",
    "secure_state_folder",
    "state_folder",
    "write_private",
]
