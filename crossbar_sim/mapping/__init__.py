"""Weights to cells: tiles, layouts, conductances."""
