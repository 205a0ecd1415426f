"""What can be traded at the gateway, and when."""
