"""The one root of every error this project raises on purpose."""


class CrossbarError(Exception):
    """Something the user can put right; its message says what is wrong, where, and what to do next."""


class SpecError(CrossbarError):
    """A specification (device, hardware, method, task, experiment) is not valid."""


class MappingError(CrossbarError):
    """A tensor or model cannot be placed on tiles."""


class WireError(CrossbarError):
    """The cells or the wires of an array are not physical."""
