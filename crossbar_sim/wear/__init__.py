"""Writes per cell: statistics, lifetimes and levelling."""
