"""What one pulse does, in compiled code: how far it moves a cell on average, and the energy that it takes.

Each law is written once, for float64 and float32 alike; what a caller folds beforehand, it folds into the
coefficients that it passes. A caller that needs the source for whole arrays takes `.py_func`.
"""

from __future__ import annotations

import numpy as np

from crossbar_sim.runtime.compiling import entry, part


@part(inline="always")
def linear_move(steps, distance):
    """The part of a pulse's mean move that is linear in the state, at `distance` from the end it starts at.

    steps: `Steps` in any unit of conductance. With `step` and `rate * reach` added up beforehand, `reach` is zero.
    """
    return steps.step + steps.rate * (steps.reach - distance)


@part(inline="always")
def exponential_move(steps, distance, exp):
    """The part that falls off (or grows) exponentially; exp: the exponential function of the caller's precision."""
    return steps.bulge * exp(-steps.fall * distance)


@part(inline="always")
def mean_move(steps, distance):
    """Mean move of one pulse at `distance` from the end it starts at, both in siemens."""
    move = linear_move(steps, distance)
    if steps.bulge != 0.0:
        move += exponential_move(steps, distance, np.exp)
    return move


@part
def pulses_between(steps, distance, goal):
    """Pulses that lead along the mean curve from `distance` to `goal`, both in siemens from the starting end."""
    goal = min(goal, steps.end)
    if steps.bulge != 0.0:
        pulses, move = 0.0, mean_move(steps, distance)
        while goal - distance > 0.5 * move:
            distance, pulses = distance + move, pulses + 1.0
            move = mean_move(steps, distance)
        return pulses
    if goal <= distance:
        return 0.0
    if steps.rate == 0.0:
        return (goal - distance) / steps.step
    return np.log((steps.reach - distance) / (steps.reach - goal)) / -np.log1p(-steps.rate)


@entry(inline="always", error_model="numpy")
def pulse_energy(voltage, conductance, access_resistance, compliance_voltage, width, one=1.0):
    """E = V I t with I = V G / (1 + G R_access), at most compliance_voltage * G (the driver's view).

    compliance_voltage: infinite for none; `one`: 1 in the precision in which the quotient is taken.
    """
    current = voltage * conductance / (one + conductance * access_resistance)
    limit = compliance_voltage * conductance
    return voltage * (limit if limit < current else current) * width


@part(inline="always")
def folded_pulse_energy(joule_per_siemens, conductance, access_resistance, compliance, one):
    """`pulse_energy` with V^2 t folded beforehand: E = (V^2 t) G min(1 / (1 + G R_access), compliance).

    compliance: the compliance voltage over the pulse's, 1 or more for none. The stochastic update works in float32 on
    conductances in windows, where V^2 t and the unit are one coefficient and the limit a factor. No coefficients of
    `pulse_energy` give the same bits: it divides V G, and this multiplies by a rounded reciprocal.
    """
    return joule_per_siemens * conductance * min(one / (one + conductance * access_resistance), compliance)
