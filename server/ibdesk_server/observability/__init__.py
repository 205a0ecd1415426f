"""The server's observability: audit trail of requests, metrics and health of its parts."""
