"""Hostile inputs at random, with a seed: whatever a user or a file hands over, the answer is a finite sensible result
or a CrossbarError of at most 400 characters, within a time limit.

`python -m tests.fuzz --cases 5000 --seed 1` tries them; `--family specs --seed 1 --only 17` repeats one.
"""
