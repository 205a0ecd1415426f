"""The market behind the gateway: where prices come from, and what is known of them now."""
