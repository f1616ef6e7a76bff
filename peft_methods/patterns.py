"""Patterns: how targets, and the files of adapters, name the layers of a model; matched in a bounded time."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase

REGULAR = "re:"
"""What stands in front of a regular expression among targets."""
LONGEST_PATTERN = 256
LONGEST_NAME = 256
REPEATS = re.compile(r"(?:\.|\[\^\.\]|\\d|\[0-9\])[*+]")
"""What a pattern may repeat: any character, any but a dot, a digit."""
MOST_REPEATS = 2
MOST_GROUPS = 2
HARMLESS = re.compile(r"\^?(?:[\w.\- /|]|\\\.|\((?:\?:)?|\)|R)*\$?")
"""Names, dots and alternatives, and R for each of REPEATS; no group is repeated."""
ALLOWED = "names of modules, with at most two each of (a|b) and of .*, .+, [^.]+ or digits"


def is_harmless(pattern: str) -> bool:
    """Whether it is a regular expression, and one that is matched in a bounded time."""
    bare, repeats = REPEATS.subn("R", pattern)
    busy = repeats > MOST_REPEATS or pattern.count("(") > MOST_GROUPS
    if busy or len(pattern) > LONGEST_PATTERN or not HARMLESS.fullmatch(bare):
        return False
    try:
        re.compile(pattern)
    except re.error:
        return False
    return True


def matches(name: str, target: str) -> bool:
    """Whether a target stands for a dotted name: 're:' and a regular expression for the whole name, wildcards as
    `map_model` takes them ('*.query'), or the name itself or its end ('query', 'mlp.up')."""
    if target.startswith(REGULAR):
        return len(name) <= LONGEST_NAME and re.fullmatch(target.removeprefix(REGULAR), name) is not None
    return name == target or name.endswith("." + target) or fnmatchcase(name, target)
