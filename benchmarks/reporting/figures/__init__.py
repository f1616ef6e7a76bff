"""Figures, one file per subject."""
