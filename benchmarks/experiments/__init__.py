"""Experiments, comparisons, their results and suites."""
