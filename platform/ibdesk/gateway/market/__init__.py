"""The market behind the gateway: the sources of prices, and their present state."""
