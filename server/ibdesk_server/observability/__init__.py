"""What the server tells of itself: the audit trail of requests, figures for Prometheus, how each part of it is."""
