"""What every HTTP client of a server on this machine is made with."""

from __future__ import annotations

from typing import Any

# No proxy of the environment, and no store of trusted certificates: to read it takes a tenth of a second of processor
# time for each client, and nothing here that takes this speaks TLS.
PLAIN: dict[str, Any] = {"trust_env": False, "verify": False}
