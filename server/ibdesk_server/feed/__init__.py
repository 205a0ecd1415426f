"""The feed: state changes of the desk as msgpack over a WebSocket, encoded once for all clients."""
