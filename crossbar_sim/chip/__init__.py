"""Chips and their matrices: simulated, or only counted."""
