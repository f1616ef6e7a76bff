"""Ctrl-C in long work: one sentence in place of a traceback, where nobody catches it."""

from __future__ import annotations

import sys
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType


class Interrupted(KeyboardInterrupt):
    """A KeyboardInterrupt that says what became of the work."""


@contextmanager
def interrupts_say(sentence: str) -> Iterator[None]:
    """A KeyboardInterrupt inside leaves as Interrupted with this sentence; also a decorator.

    One that a script does not catch ends it with exit status 1 and the sentence on standard error: Python asks
    `sys.excepthook`. The hook of a host program stays; Python's own is replaced from the interrupt until it was asked,
    or until the interrupt was caught and is gone.
    """
    try:
        yield
    except Interrupted:
        raise  # said where it was met
    except KeyboardInterrupt:
        raise told_by_python(Interrupted(sentence)) from None


def told_by_python(error: Interrupted) -> Interrupted:
    """The same; while it lives, Python's own hook says its sentence."""
    if sys.excepthook is sys.__excepthook__ or isinstance(sys.excepthook, Says):
        hook = Says()
        sys.excepthook = hook
        weakref.finalize(error, hook.put_back).atexit = False
    return error


class Says:
    """Python's own excepthook, which once says an Interrupted in one sentence."""

    def __call__(self, kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        self.put_back()
        if isinstance(error, Interrupted):
            print(error, file=sys.stderr)
        else:
            sys.__excepthook__(kind, error, trace)

    def put_back(self) -> None:
        """Python's own hook again, unless somebody has set another since."""
        if sys.excepthook is self:
            sys.excepthook = sys.__excepthook__
