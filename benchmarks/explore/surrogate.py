"""Which designs to simulate where all are counted: those by which the front is expected to gain most.

Energy, time and area of every design are known; what only a simulation tells is believed by a Gaussian process over the
varied numbers. The gain is the expected improvement of the hypervolume (Emmerich, Giannakoglou and Naujoks, IEEE
Transactions on Evolutionary Computation 10, 4, 2006).
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri
from threadpoolctl import threadpool_limits

from benchmarks.explore.fronts import Numbers, front, hypervolume, on_scales
from benchmarks.explore.samplers import in_order
from benchmarks.explore.space import Choices, Parameter, Plain, Point, Space

DRAWS = 8
"""Of what is believed of a design, evenly over its distribution."""
PROMISING = 64
"""Designs whose gain is worked out, the best if each did better than believed by OPTIMISM standard deviations."""
OPTIMISM = 2.0
REFERENCE = 1.1
"""Where volumes end, in the box between the best and the worst values."""
ABSENT = 0.5
"""The coordinate of a number that has no say in a design."""


@dataclass(frozen=True)
class Candidates:
    """All designs that may be simulated, and what is known of them; all objectives are to be small.

    coordinates: (designs, axes). counted: (designs, counted objectives). simulated: place of a design -> its simulated
    objectives, for those that were.
    """

    coordinates: Numbers
    counted: Numbers
    simulated: dict[int, Numbers]

    def best(self, number: int, seed: int) -> list[int]:
        """The places of the `number` designs to simulate next; before anything is known, drawn by chance."""
        left = [place for place in range(len(self.coordinates)) if place not in self.simulated]
        number = min(number, len(left))
        if len(self.simulated) < 2:
            return np.random.default_rng(seed).permutation(left)[:number].tolist()
        with threadpool_limits(1):
            return self._by_gain(left, number, seed)

    def _by_gain(self, left: list[int], number: int, seed: int) -> list[int]:
        """One after the other, each as if those before had done as believed."""
        known = dict(self.simulated)
        models: list[Belief] | None = None
        chosen: list[int] = []
        while len(chosen) < number:
            models = _fitted(self.coordinates, known, models)
            means, spreads = _believed(models, self.coordinates)
            left = [place for place in left if place not in known]
            chosen.append(self._most(left, means, spreads, list(known), seed))
            known[chosen[-1]] = means[chosen[-1]]
        return chosen

    def _most(self, left: list[int], means: Numbers, spreads: Numbers, known: list[int], seed: int) -> int:
        """The place with the largest expected gain."""

        def boxed(simulated: Numbers, places: Sequence[int]) -> Numbers:
            return (np.hstack([counted[places], simulated]) - low) / width

        counted = on_scales(self.counted) if self.counted.size else self.counted
        everything = np.hstack([counted, means])
        low = everything.min(axis=0)
        width = np.where(everything.max(axis=0) > low, everything.max(axis=0) - low, 1.0)
        reference = np.full(everything.shape[1], REFERENCE)
        reached = boxed(means[known], known)
        reached = reached[front(reached)]

        hopes = boxed(means[left] - OPTIMISM * spreads[left], left)
        order = np.argsort([-gain(reached, row, reference) for row in hopes], kind="stable")[:PROMISING]
        draws = _draws(means.shape[1], seed)

        def expected(place: int) -> float:
            rows = boxed(means[place] + draws * spreads[place], [place] * DRAWS)
            return float(np.mean([gain(reached, row, reference) for row in rows]))

        promising = [left[int(one)] for one in order]
        return promising[int(np.argmax([expected(place) for place in promising]))]


def gain(reached: Numbers, design: Numbers, reference: Numbers) -> float:
    """The volume that a design adds to what rows of `reached` cover: its own box without what is in it already."""
    inside = np.clip(reference - design, 0.0, None).prod()
    return float(inside - hypervolume(np.maximum(reached, design), reference))


def _draws(objectives: int, seed: int) -> Numbers:
    """(DRAWS, objectives) standard normal numbers, each objective evenly over its distribution."""
    evenly = ndtri((np.arange(DRAWS) + 0.5) / DRAWS)
    random = np.random.default_rng(seed)
    return np.array([random.permutation(evenly) for _ in range(objectives)]).T


@dataclass(frozen=True)
class Belief:
    """A Gaussian process of an objective in units of its spread around its mean."""

    process: Any
    mean: float
    spread: float


def _fitted(coordinates: Numbers, known: dict[int, Numbers], before: Sequence[Belief] | None = None) -> list[Belief]:
    """A Gaussian process per objective; with the scales of those before, where these are given."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel

    places, values = list(known), np.array(list(known.values()))
    kernel = ConstantKernel(1.0, (1e-2, 1e2)) * Matern([0.5] * coordinates.shape[1], (0.1, 20.0), nu=2.5) + WhiteKernel(
        0.05, (1e-4, 1.0)
    )
    found = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # a scale at its bound is as good as one beyond
        for place, column in enumerate(values.T):
            which = (
                GaussianProcessRegressor(kernel, random_state=0)
                if before is None
                else GaussianProcessRegressor(before[place].process.kernel_, optimizer=None)
            )
            mean, spread = float(column.mean()), float(column.std()) or 1.0
            found.append(Belief(which.fit(coordinates[places], (column - mean) / spread), mean, spread))
    return found


def _believed(models: Sequence[Belief], coordinates: Numbers) -> tuple[Numbers, Numbers]:
    """Means and standard deviations (designs, objectives), without the noise of single runs."""
    means, spreads = [], []
    for model in models:
        mean, spread = model.process.predict(coordinates, return_std=True)
        noise = math.exp(model.process.kernel_.theta[-1])
        means.append(model.mean + model.spread * mean)
        spreads.append(model.spread * np.sqrt(np.maximum(spread**2 - noise, 0.0)))
    return np.array(means).T, np.array(spreads).T


def coordinates_of(space: Space, points: Sequence[Point]) -> NDArray[np.float64]:
    """(points, axes), each from 0 to 1: one axis for numbers in order, one for each value of what has no order."""
    return np.array([[x for path, one in space.free.items() for x in _axes(one, point.get(path))] for point in points])


def _axes(parameter: Parameter, value: Plain | None) -> list[float]:
    if isinstance(parameter, Choices):
        ordered = in_order(parameter) or bool(parameter.paths)
        if value is None:
            return [ABSENT] * (1 if ordered else parameter.count)
        place = parameter.place(value)
        if ordered:
            return [place / max(parameter.count - 1, 1)]
        return [float(place == one) for one in range(parameter.count)]
    if value is None:
        return [ABSENT]
    scale = math.log if parameter.log else float
    low, high = scale(parameter.low), scale(parameter.high)
    return [(scale(float(value)) - low) / (high - low)]  # type: ignore[arg-type]
