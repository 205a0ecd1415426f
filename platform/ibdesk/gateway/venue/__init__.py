"""Where clients' orders are worked; what outlives a session."""
