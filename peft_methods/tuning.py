"""What a tuning may search of a method's settings: plain ranges, which any search understands."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Range:
    """From `low` to `high`, both included; whole numbers if both are int. `log`: searched on a logarithmic scale."""

    low: float
    high: float
    log: bool = True


Ranges = Mapping[str, Range]
"""Ranges by the name of the setting."""
