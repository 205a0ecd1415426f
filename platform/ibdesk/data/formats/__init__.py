"""The recognized layouts of bars, one reader each."""
