"""The errors of this storey."""

from __future__ import annotations

from crossbar_sim import CrossbarError


class MethodError(CrossbarError):
    """A method cannot be attached to this model, chip or pool."""


class DataError(CrossbarError, ValueError):
    """There is nothing to learn from in the data, or it does not fit the model."""


class CheckpointError(CrossbarError, ValueError):
    """An adapter cannot be read, written or trusted; the message says what to do."""


class PoolError(CrossbarError, ValueError):
    """LoRA modules that cannot be mixed; the message names the member, the module and the shapes."""
