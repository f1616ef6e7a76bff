"""Search without gradients: the covariance matrix adaptation evolution strategy, within a small budget."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

Point = NDArray[np.float64]


def minimise(
    objective: Callable[[Point], float], dimensions: int, bound: float, spread: float, budget: int, seed: int
) -> Iterator[tuple[float, Point]]:
    """The best (value, point) so far after each of `budget` evaluations; points in [-bound, bound], around zero.

    Zero itself is the second candidate: the first read of a tile sets the range of its converters, and zero
    coefficients would drive it with nothing. Values that are not finite count as infinitely bad.
    """
    from cmaes import CMA  # imports scipy.stats: two seconds that only searches pay

    limits = np.tile([-bound, bound], (dimensions, 1))
    strategy = CMA(mean=np.zeros(dimensions), sigma=spread, bounds=limits, seed=seed)
    best = (math.inf, np.zeros(dimensions))
    told: list[tuple[Point, float]] = []
    for evaluation in range(budget):
        asked = evaluation != 1
        point = strategy.ask() if asked else np.zeros(dimensions)
        value = objective(point)
        value = value if math.isfinite(value) else math.inf
        if asked:
            told.append((point, min(value, np.finfo(np.float64).max)))
        if len(told) == strategy.population_size:
            strategy.tell(told)
            told = []
        if value < best[0]:
            best = (value, point)
        yield best
