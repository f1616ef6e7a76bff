"""The one root of every error this project raises on purpose."""

LONGEST = 400
"""Characters of a message; of a longer one, which lists much or quotes a file, the middle is left out."""
TAIL = 120
"""Of them at the end, where messages say what to do next."""


class CrossbarError(Exception):
    """Something the user can put right; its message says what is wrong, where, and what to do next, in at most LONGEST
    characters."""

    def __init__(self, message: str = "") -> None:
        super().__init__(shortened(message))


def shortened(message: str) -> str:
    """The message, without its middle where it is longer than LONGEST."""
    if len(message) <= LONGEST:
        return message
    return f"{message[: LONGEST - TAIL - 5]} ... {message[-TAIL:]}"


class SpecError(CrossbarError):
    """A specification (device, hardware, method, task, experiment) is not valid."""


class MappingError(CrossbarError):
    """A tensor or model cannot be placed on tiles."""


class WireError(CrossbarError):
    """The cells or the wires of an array are not physical."""


class FileError(CrossbarError):
    """The machine does not let a file or folder be written."""
