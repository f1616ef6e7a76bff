"""Slow twins of fronts: pairs compared one by one, volumes by inclusion and exclusion."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from math import prod


def dominates(one: Sequence[float], other: Sequence[float]) -> bool:
    """No worse in all, better in one; small is good."""
    pairs = list(zip(one, other, strict=True))
    return all(a <= b for a, b in pairs) and any(a < b for a, b in pairs)


def front_by_pairs(rows: Sequence[Sequence[float]]) -> list[bool]:
    """Which rows no other dominates."""
    return [not any(dominates(other, row) for other in rows) for row in rows]


def volume_by_inclusion(rows: Sequence[Sequence[float]], reference: Sequence[float]) -> float:
    """Volume of the union of the boxes between each row and the reference."""
    boxes = [row for row in rows if all(a < r for a, r in zip(row, reference, strict=True))]
    total = 0.0
    for count in range(1, len(boxes) + 1):
        for chosen in combinations(boxes, count):
            corner = [max(values) for values in zip(*chosen, strict=True)]
            total += (-1) ** (count + 1) * prod(r - a for a, r in zip(corner, reference, strict=True))
    return total
