"""The laws of devices in compiled code: spread by conductance."""

from __future__ import annotations

import numpy as np

from crossbar_sim.runtime.compiling import entry, part


@part(error_model="numpy")
def spread_of(conductance, law, relative, sigma):
    """Into `sigma`: the spread at each conductance, siemens; law: `laws.SpreadLaw`; `relative`: room for as many."""
    coefficients = law.coefficients
    for i in range(conductance.size):
        relative[i] = conductance[i] / law.conductance_scale
        sigma[i] = coefficients[-1]
    for k in range(coefficients.size - 2, -1, -1):
        for i in range(conductance.size):
            sigma[i] = coefficients[k] + sigma[i] * relative[i]
    for i in range(conductance.size):
        sigma[i] = law.sigma_scale * max(sigma[i], 0.0)


@entry(error_model="numpy")
def spread_of_all(conductance, law):
    """The spread at each of many conductances, siemens, in one pass; law: `laws.SpreadLaw`."""
    sigma, relative = np.empty(conductance.size), np.empty(1024)
    for start in range(0, sigma.size, relative.size):  # few enough to stay in the first-level cache
        some = slice(start, start + relative.size)
        spread_of(conductance[some], law, relative, sigma[some])
    return sigma
