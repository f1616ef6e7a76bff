"""Compiled kernels that change cells."""
