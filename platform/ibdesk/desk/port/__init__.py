"""The desk port: a desk's commands and feed for other processes, in one small msgpack protocol.

`PortHost` serves a desk, `PortClient` speaks to one; `messages` says what they say, `addresses` where they meet. Over
a Unix socket it needs nothing installed and is guarded by the file's permissions.
"""

from ibdesk.desk.port.addresses import Address, default_address
from ibdesk.desk.port.client import PortClient
from ibdesk.desk.port.host import PortHost

__all__ = ["Address", "PortClient", "PortHost", "default_address"]
