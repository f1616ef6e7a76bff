"""Blocks of vector instructions that numba cannot be brought to emit."""
