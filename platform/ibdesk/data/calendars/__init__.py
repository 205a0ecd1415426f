"""The trading days and hours of exchanges."""
