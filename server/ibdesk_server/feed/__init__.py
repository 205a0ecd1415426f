"""The feed: state changes of the desk as msgpack over a WebSocket, one encoding for all clients."""
