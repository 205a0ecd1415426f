"""The whole of ibdesk on one virtual clock in one process: seeds draw faults, a checker looks at every step."""
