"""The command line: `xbar`."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; what the user can put right is one sentence and exit status 1.

    Everything is imported here, so that an interrupt while it is has its sentence too.
    """
    try:
        from crossbar_sim.spec.errors import CrossbarError
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    try:
        from benchmarks.cli.app import call

        try:
            call(sys.argv[1:] if arguments is None else arguments)
        finally:
            sys.stdout.flush()
    except CrossbarError as error:
        sys.exit(f"xbar: {error}")
    except BrokenPipeError:
        drop_output()  # whoever reads it has had enough
    except OSError as error:
        drop_output()
        sys.exit(
            f"xbar: {error.filename or 'the output'}: {error.strerror or error}; check the path and the space on its "
            "disk"
        )
    except MemoryError:
        sys.exit("xbar: not enough memory; take a smaller model, tile or number of workers")
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)


INTERRUPTED = "xbar: interrupted; finished runs are kept, the same command resumes"


def drop_output() -> None:
    """What is left of the output, where it cannot be written, is not tried again on the way out."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
