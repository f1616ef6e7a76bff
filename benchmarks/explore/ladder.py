"""The ladder: which designs go up a rung, and how far a rung may be off, measured on designs simulated in full.

Numbers are (designs, objectives), all to be small: those that counting knows first, those of a simulation after them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from benchmarks.explore.fronts import Flags, Numbers, front


@dataclass(frozen=True)
class Off:
    """How far a rung is off, on the pilot's designs.

    tolerance: the least at which no design of their front is dropped. lost_at_0: how many of the `members` of the
    front are dropped without a tolerance; lost_left_out: how many at the tolerance measured without them.
    """

    tolerance: float
    members: int
    lost_at_0: int
    lost_left_out: int


def kept(counted: Numbers, simulated: Numbers, tolerance: float, spread: Numbers) -> Flags:
    """Designs that no other beats clearly: as cheap in all that is counted and better in all that is simulated by more
    than `tolerance` times its `spread`."""
    return np.array([worst_lead(counted, simulated, spread, place) <= tolerance for place in range(len(counted))])


def worst_lead(counted: Numbers, simulated: Numbers, spread: Numbers, place: int) -> float:
    """By how much, in spreads, the design at `place` is beaten by that which beats it most clearly; 0 by none."""
    rivals = (counted <= counted[place]).all(axis=1)
    rivals[place] = False
    if not rivals.any():
        return 0.0
    leads = ((simulated[place] - simulated[rivals]) / spread).min(axis=1)
    return float(max(leads.max(), 0.0))


def spread_of(simulated: Numbers) -> Numbers:
    """Standard deviation of what is simulated over designs; 1 where all are equal."""
    spread = simulated.std(axis=0, ddof=1) if len(simulated) > 1 else np.zeros(simulated.shape[1])
    return np.where(spread > 0, spread, 1.0)


def measured(counted: Numbers, simulated: Numbers, full: Numbers, spread: Numbers) -> Off:
    """How far a rung is off: `simulated` on it, `full` on the last one, of the same designs."""
    members = np.flatnonzero(front(np.hstack([counted, full])))
    leads = np.array([worst_lead(counted, simulated, spread, int(place)) for place in members])
    others = [np.delete(leads, place).max(initial=0.0) for place in range(len(leads))]
    return Off(
        tolerance=float(leads.max(initial=0.0)),
        members=len(members),
        lost_at_0=int((leads > 0).sum()),
        lost_left_out=int((leads > np.array(others)).sum()),
    )
