"""The settings: one tree of sections, read from a file, the environment and the command line.

Each section is defined in the package that it configures: `tws.TwsSettings`, `gateway.GatewaySettings`,
`engine.RiskLimits`, `store.RedisSettings`. The roots of the tree are `desk.DeskSettings` and, with the server's
sections, `ibdesk_server.settings.Settings`.

Names are imported lazily: the guardian, which must stay small, writes private files without importing pydantic.
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
