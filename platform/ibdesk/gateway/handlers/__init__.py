"""What one session may ask, a room for each kind of request."""
