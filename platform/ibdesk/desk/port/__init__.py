"""The desk port: a desk's commands and feed for other processes, in one small msgpack protocol.

`host.PortHost` serves a desk, `client.PortClient` speaks to one; `messages` says what they say, `addresses` where they
meet. Over a Unix socket it needs nothing installed and is guarded by the file's permissions.
"""
