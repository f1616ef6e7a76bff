"""The laws of devices in compiled code: mean steps, pulses between two conductances, spread by conductance."""

from __future__ import annotations

import numpy as np

from crossbar_sim.runtime.compiling import entry, part


@part(inline="always")
def mean_step(steps, gone):
    """Mean move of one pulse at `gone` siemens from the end it starts at; `steps` as in `pulses.Steps`."""
    move = steps[0] + steps[1] * (steps[2] - gone)
    if steps[3] != 0.0:
        move += steps[3] * np.exp(-steps[4] * gone)
    return move


@part
def pulses_between(steps, gone, goal):
    """Pulses that lead along the mean curve from `gone` to `goal`, both in siemens from the starting end."""
    goal = min(goal, steps[5])
    if steps[3] != 0.0:
        pulses, move = 0.0, mean_step(steps, gone)
        while goal - gone > 0.5 * move:
            gone, pulses = gone + move, pulses + 1.0
            move = mean_step(steps, gone)
        return pulses
    if goal <= gone:
        return 0.0
    if steps[1] == 0.0:
        return (goal - gone) / steps[0]
    return np.log((steps[2] - gone) / (steps[2] - goal)) / -np.log1p(-steps[1])


@part(error_model="numpy")
def spread_of(conductance, scale, coefficients, sigma_scale, relative, sigma):
    """Into `sigma`: sigma_scale * max(sum_k c_k (G / scale)^k, 0); `relative` receives G / scale."""
    for i in range(conductance.size):
        relative[i] = conductance[i] / scale
        sigma[i] = coefficients[-1]
    for k in range(coefficients.size - 2, -1, -1):
        for i in range(conductance.size):
            sigma[i] = coefficients[k] + sigma[i] * relative[i]
    for i in range(conductance.size):
        sigma[i] = sigma_scale * max(sigma[i], 0.0)


@entry(error_model="numpy")
def polynomial(conductance, scale, coefficients, sigma_scale):
    """sigma_scale * max(sum_k c_k (G / scale)^k, 0) of many G in one pass."""
    sigma, relative = np.empty(conductance.size), np.empty(1024)
    for start in range(0, sigma.size, relative.size):  # few enough to stay in the first-level cache
        some = slice(start, start + relative.size)
        spread_of(conductance[some], scale, coefficients, sigma_scale, relative, sigma[some])
    return sigma
