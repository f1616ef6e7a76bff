"""Compiled kernels of reads."""
