"""The requests that a session may send, with a handler for each kind."""
