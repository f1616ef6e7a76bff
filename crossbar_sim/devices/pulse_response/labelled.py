"""The pulse-response curve: conductance against the number of identical pulses, straight or exponential.

With x the distance from the starting end of the window, after P of P_max pulses (NeuroSim user manual,
equations 8.1 to 8.3; for RESET the same from the other end):

    x(P) = B (1 - exp(-P / A)),   B = window / (1 - exp(-P_max / A))

so one pulse moves by (B - x) (1 - exp(-1 / A)): a step that depends on the state alone.
"""

from __future__ import annotations

import math
from functools import cache

import numpy as np
from numpy.typing import NDArray

from crossbar_sim.devices.pulse_response.base import Steps
from crossbar_sim.spec.errors import SpecError

LABELS = (0.01, 8.0)
"""Range of |non-linearity label|; beyond 8 the end of the curve is flat to rounding errors."""
DISTANCE_PER_LABEL = 0.07
"""A curve of label 1 leaves the straight line by at most 0.07, perpendicular, in the unit square."""


def bow(a: float) -> float:
    """Largest excess of x(p) = (1 - exp(-p/a)) / (1 - exp(-1/a)) over p for p in [0, 1], at curvature a > 0."""
    end = -math.expm1(-1 / a)
    return 1 / end - a + a * math.log(a * end)


def label_of(a: float) -> float:
    """The non-linearity label of a curvature a = A / P_max (negative: the last pulses move most)."""
    return math.copysign(bow(abs(a)) / (DISTANCE_PER_LABEL * math.sqrt(2)), a)


@cache
def curvature(label: float) -> float:
    """a = A / P_max of a non-linearity label; negative for a negative label.

    The label is the largest perpendicular distance from the straight line in units of 0.07, which reproduces
    NeuroSim's table of 900 labels to its printed digits.
    """
    if not LABELS[0] <= abs(label) <= LABELS[1]:
        raise SpecError(f"a non-linearity label lies between 0.01 and 8 in size, got {label:g}; leave it out for none")
    wanted = abs(label) * DISTANCE_PER_LABEL * math.sqrt(2)
    from scipy.optimize import brentq  # a second to import, and few devices state a label

    log_a = brentq(lambda u: bow(math.exp(u)) - wanted, math.log(2e-3), math.log(1e3), xtol=1e-14)
    return math.copysign(math.exp(log_a), label)


def labelled_steps(label: float | None, full_swing_pulses: float, window: float) -> Steps:
    """The steps of a non-linearity label; None: all the same."""
    if label is None:
        return Steps(step=window / full_swing_pulses)
    a = curvature(label)
    return Steps(rate=-math.expm1(-1 / (a * full_swing_pulses)), reach=window / -math.expm1(-1 / a))


def travelled(
    pulses: NDArray[np.float64], label: float | None, full_swing_pulses: float, window: float
) -> NDArray[np.float64]:
    """x(P), siemens, after `pulses` identical pulses from the starting end of the window; not beyond its end."""
    share = np.clip(np.asarray(pulses, dtype=np.float64) / full_swing_pulses, 0.0, 1.0)
    if label is not None:
        a = curvature(label)
        share = np.expm1(-share / a) / math.expm1(-1 / a)
    return window * share
