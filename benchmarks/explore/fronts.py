"""Fronts: which designs no other beats, how much a front covers, and how sure that is.

Everything here minimises: an objective that is to be large comes with its sign changed.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]
Flags = NDArray[np.bool_]


def front(values: Numbers) -> Flags:
    """Which rows of (designs, objectives) no other row dominates: none is as small in all and smaller in one."""
    kept = np.ones(len(values), dtype=bool)
    for place, row in enumerate(values):
        others = (values <= row).all(axis=1) & (values < row).any(axis=1)
        kept[place] = not others.any()
    return kept


def hypervolume(values: Numbers, reference: Numbers) -> float:
    """Volume of what the rows (designs, objectives) dominate below `reference`, exactly.

    The last objective cuts the volume into slabs, each with the volume of the others of the rows that reach below it
    (Fonseca, Paquete and Lopez-Ibanez, CEC 2006).
    """
    inside = values[(values < reference).all(axis=1)]
    if not len(inside):
        return 0.0
    if values.shape[1] == 1:
        return float(reference[0] - inside.min())
    inside = inside[front(inside)]
    order = np.argsort(inside[:, -1], kind="stable")
    inside = inside[order]
    edges = np.append(inside[:, -1], reference[-1])
    total = 0.0
    for count, height in enumerate(np.diff(edges), start=1):
        if height > 0:
            total += height * hypervolume(inside[:count, :-1], reference[:-1])
    return total


def front_probability(draws: NDArray[np.float64]) -> Numbers:
    """How often each design is on the front, of draws (draws, designs, objectives)."""
    return np.mean([front(one) for one in draws], axis=0)


def resampled(samples: list[Numbers], draws: int, seed: int) -> NDArray[np.float64]:
    """Means of designs drawn anew from their seeds, (draws, designs, objectives).

    samples: of each design, (seeds, objectives). The bootstrap: as many seeds as there are, each drawn with the same
    chance; with n seeds the spread of such means is sqrt((n - 1) / n) of the standard error (Efron, Annals of
    Statistics 7, 1, 1979), which is divided out. A design of one seed does not spread.
    """
    random = np.random.default_rng(seed)
    found = np.empty((draws, len(samples), samples[0].shape[1]))
    for place, one in enumerate(samples):
        n = len(one)
        mean = one.mean(axis=0)
        if n == 1:
            found[:, place] = mean
            continue
        means = one[random.integers(0, n, (draws, n))].mean(axis=1)
        found[:, place] = mean + (means - mean) * np.sqrt(n / (n - 1))
    return found


def on_scales(values: Numbers) -> Numbers:
    """Objectives that are all above zero on a logarithmic scale, where spans of decades count alike; others as they
    are."""
    return np.where((values > 0).all(axis=0), np.log10(np.where(values > 0, values, 1.0)), values)
