"""The contracts of the gateway, and their trading hours."""
