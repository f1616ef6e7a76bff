"""The error of this storey."""

from __future__ import annotations

from crossbar_sim import CrossbarError


class MethodError(CrossbarError):
    """A method cannot be attached to this model, chip or pool."""
