"""Backtests as background jobs, each in its own process and in a folder that every web worker can read."""
