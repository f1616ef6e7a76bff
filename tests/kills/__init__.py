"""Kills of a comparison on two workers: no file is corrupt, the same command goes on to the same bytes, and no process
and no file for the moment is left.

`python -m tests.kills --kills 50` kills before and after each file is put in its place, and 50 times at random moments.
"""
