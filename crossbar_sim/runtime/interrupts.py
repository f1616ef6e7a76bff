"""Ctrl-C in long work: one sentence in place of a traceback, where nobody catches it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType


class Interrupted(KeyboardInterrupt):
    """A KeyboardInterrupt that says what became of the work."""


@contextmanager
def interrupts_say(sentence: str) -> Iterator[None]:
    """A KeyboardInterrupt inside leaves as Interrupted with this sentence; also a decorator.

    One that a script does not catch ends it with exit status 1 and the sentence on standard error: Python asks
    `sys.excepthook`, which is left alone until there is an interrupt, and asked for everything else.
    """
    try:
        yield
    except KeyboardInterrupt:
        before = sys.excepthook

        def hook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
            if isinstance(error, Interrupted):
                print(error, file=sys.stderr)
            else:
                before(kind, error, trace)

        sys.excepthook = hook
        raise Interrupted(sentence) from None
