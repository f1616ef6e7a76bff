"""Wear: how unevenly the cells of a chip were written, and how many adaptations they survive."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from crossbar_sim.spec.errors import SpecError

ENDURANCES = (1e4, 1e5, 1e6, 1e8, 1e9)
"""Writes that a cell survives: from foundry devices to the best single cells."""


@dataclass(frozen=True)
class Wear:
    """Statistics of a count per cell in one adaptation: writes, pulses or cycles.

    gini: 0 where all cells are worn alike, towards 1 where few take everything; 0 if nothing was written.
    """

    cells: int
    total: float
    largest: float
    p99: float
    mean: float
    gini: float

    def adaptations(self, endurance: float) -> int | None:
        """T = endurance / max: whole adaptations until the first cell is worn out; None: no cell is worn."""
        return adaptations_until_wearout(endurance, self.largest)

    def adaptations_levelled(self, endurance: float) -> int | None:
        """T = endurance / mean: the same if wear were spread over all cells evenly, the best that levelling can do."""
        return adaptations_until_wearout(endurance, self.mean)

    def lifetimes(self, endurances: tuple[float, ...] = ENDURANCES) -> list[dict[str, Any]]:
        """One record per endurance: adaptations without and with ideal levelling."""
        return [
            {
                "endurance": endurance,
                "adaptations": self.adaptations(endurance),
                "adaptations_levelled": self.adaptations_levelled(endurance),
            }
            for endurance in endurances
        ]


def wear(counts: ArrayLike) -> Wear:
    """Statistics of non-negative counts per cell, of any shape. SpecError if there is none, or one is negative."""
    flat = np.sort(np.asarray(counts).reshape(-1))
    if flat.size == 0:
        raise SpecError("wear needs the counts of at least one cell, got none")
    if not flat[0] >= 0:
        raise SpecError(f"counts per cell must not be negative, got {flat[0]:g}")
    total = float(flat.sum())
    ranks = np.arange(1, flat.size + 1)
    gini = float((2 * ranks - flat.size - 1) @ flat / (flat.size * total)) if total else 0.0
    return Wear(flat.size, total, float(flat[-1]), float(np.percentile(flat, 99)), float(np.mean(flat)), gini)


def adaptations_until_wearout(endurance: float, per_adaptation: float) -> int | None:
    """Whole adaptations that a cell survives which takes `per_adaptation` of its `endurance` in each; None for zero.

    SpecError unless endurance > 0 and per_adaptation >= 0.
    """
    if not endurance > 0 or not per_adaptation >= 0:
        raise SpecError(f"endurance must be positive and wear not negative, got {endurance:g} and {per_adaptation:g}")
    return int(endurance // per_adaptation) if per_adaptation else None


def cycles(conductance_travel: NDArray[np.float64], window: float) -> NDArray[np.float64]:
    """Full SET and RESET cycles that a cell's conductance travel (sum of |dG| over its pulses, siemens) makes up.

    cycles = travel / (2 window): a lower bound of wear if partial pulses wear in proportion; writes are the upper one.
    """
    return conductance_travel / (2 * window)
