"""Backtests as background jobs: each in a process of its own, each in a folder that any web worker can read."""
