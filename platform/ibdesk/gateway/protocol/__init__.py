"""The TWS wire protocol: all messages as data, and their encoding and decoding."""
