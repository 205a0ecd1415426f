"""The paper accounts: cash, positions, margin."""
