"""Paper accounts: cash, positions and margin."""
