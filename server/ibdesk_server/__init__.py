"""The HTTP API, the msgpack feed and the dashboard of an ibdesk Desk."""
