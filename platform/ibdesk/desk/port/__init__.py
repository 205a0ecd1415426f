"""The desk port: a desk's commands and feed for other processes, in one small msgpack protocol.

`host.PortHost` serves a desk, and `client.PortClient` connects to one; `messages` defines the protocol, `addresses` the
addresses. A Unix socket needs nothing installed and is protected by the file's permissions.
"""
