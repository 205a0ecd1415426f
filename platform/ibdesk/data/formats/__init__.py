"""The layouts of bars that are recognized, one reader each."""
