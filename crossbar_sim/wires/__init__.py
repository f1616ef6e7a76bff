"""Wire resistance: the exact effective conductance of an array, approximations, non-linear cells."""

from crossbar_sim.wires.exact import effective_conductance

__all__ = ["effective_conductance"]
