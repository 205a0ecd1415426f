"""All of ibdesk on one virtual clock in one process: seeds draw faults, and a checker looks at every step."""
