"""The venue: it works the orders of clients, and keeps what outlives a session."""
