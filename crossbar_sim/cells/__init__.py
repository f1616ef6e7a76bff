"""Cells: the state of the cells of a matrix, and the ways to change it."""
