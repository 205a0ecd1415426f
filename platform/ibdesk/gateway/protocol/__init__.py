"""The TWS wire protocol: every message as data, and what turns messages into bytes and back."""
