"""How kernels are compiled: functions that Python calls, and the parts they are made of.

numba would give every function a wrapper for Python and one for C; compiling those takes about as long as compiling a
small function itself, at the first use of the package. A part has neither and must not be called from Python.
Compiled entries are kept on disk; where nothing can be written, they are compiled again in every process.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any, NamedTuple

import numpy as np
from numba import njit, typeof

LOG = logging.getLogger(__name__)
compiled: Any = njit
"""Whose options numba types one by one."""

part: Any = partial(njit, no_cpython_wrapper=True, no_cfunc_wrapper=True)
"""A function that only kernels call. inline="always" is for a large one in a small kernel: LLVM then sees it once, and
not alone as well; where many are put together, numba takes longer than LLVM is spared."""


def entry(function: Any = None, **options: Any) -> Any:
    """A kernel that Python calls, kept on disk once it is compiled, or in memory where there is no folder to keep it
    in; takes the options of `numba.njit`. A decorator, with options or without."""
    if function is None:
        return partial(entry, **options)
    try:
        return compiled(cache=True, no_cfunc_wrapper=True, **options)(function)
    except RuntimeError as error:
        if "cannot cache function" not in str(error):
            raise
    _say_that_nothing_is_kept()
    return compiled(no_cfunc_wrapper=True, **options)(function)


@lru_cache(maxsize=1)
def _say_that_nothing_is_kept() -> None:
    """One line for a process: the user waits at each start of the program, and can change that."""
    LOG.warning(
        "crossbar_sim: compiled kernels cannot be kept on disk (neither the installed package nor the home can be "
        "written), so every process compiles them anew; set NUMBA_CACHE_DIR to a folder that can be written"
    )


class _ArrayKind(NamedTuple):
    """What numba compiles for one type of array; `order`: bits of its flags, those in `mask`."""

    dtype: np.dtype[Any]
    dimensions: int
    mask: int
    order: int


class _TupleKind(NamedTuple):
    """The same of a tuple."""

    of: Any
    fields: tuple[Any, ...]


ROW_MAJOR = 0x1
"""A bit of numpy's flags of an array, as the next ones."""
COLUMN_MAJOR = 0x2
ALIGNED = 0x100
WRITEABLE = 0x400


def _kind(argument: Any) -> Any:
    """What `_is_of` compares later arguments with; None: with this one, nothing is."""
    if argument.__class__ is np.ndarray:
        flags = argument.flags.num
        mask = ROW_MAJOR | ALIGNED | WRITEABLE | (0 if flags & ROW_MAJOR else COLUMN_MAJOR)
        return _ArrayKind(argument.dtype, argument.ndim, mask, flags & mask)
    if isinstance(argument, tuple):
        return _TupleKind(argument.__class__, tuple(_kind(field) for field in argument))
    return argument.__class__ if isinstance(argument, bool | int | float | np.generic) else None


def _is_of(kind: Any, argument: Any) -> bool:
    """Whether numba would compile the same for the argument as for that whose kind this is."""
    if kind.__class__ is _ArrayKind:
        return (
            argument.__class__ is np.ndarray
            and argument.dtype is kind.dtype
            and argument.ndim == kind.dimensions
            and argument.flags.num & kind.mask == kind.order
        )
    if kind.__class__ is _TupleKind:
        return argument.__class__ is kind.of and _are_of(kind.fields, argument)
    return argument.__class__ is kind


def _are_of(kinds: tuple[Any, ...], arguments: tuple[Any, ...]) -> bool:
    """The same of several."""
    if len(arguments) != len(kinds):
        return False
    for kind, argument in zip(kinds, arguments, strict=True):
        # nearly all are arrays or plain numbers: a call for each would cost more than what it compares
        if argument.__class__ is not kind and not _is_of(kind, argument):
            return False
    return True


class SameTypes:
    """A kernel that is called with arguments of the same types nearly always.

    numba looks the types of all arguments up at every call, 0.4 us for each field of a named tuple; here they are
    looked up at the first one, and later ones of the same kinds go straight to the compiled code. That code would take
    an array of other numbers or another order for what it was compiled for, so calls with any other arguments go by
    numba, which compiles for their types.
    """

    def __init__(self, kernel: Any) -> None:
        self.by_numba: Callable[..., Any] = kernel
        self._compile = kernel.compile
        self.compiled: Callable[..., Any] | None = None
        self.kinds: tuple[Any, ...] = ()

    def call(self, *arguments: Any) -> Any:
        """What the kernel returns for them."""
        return self.code_for(arguments)(*arguments)

    def code_for(self, arguments: tuple[Any, ...]) -> Callable[..., Any]:
        """What to call with them."""
        if self.compiled is None:
            self.kinds = tuple(_kind(argument) for argument in arguments)
            self.compiled = self._compile(tuple(typeof(argument) for argument in arguments))
        return self.compiled if _are_of(self.kinds, arguments) else self.by_numba


class FixedArguments:
    """Calls of a kernel with tuples that are the same objects, or have the same fields, as at the first call: their
    kinds are compared once. made: classes of tuples that the caller makes anew for every call, always of the same
    kinds; they are compared once too, and none of them is kept."""

    def __init__(self, kernel: SameTypes, made: tuple[type, ...] = ()) -> None:
        self._kernel = kernel
        self._made = made
        self._known: tuple[Any, ...] = ()

    def call(self, *arguments: Any) -> Any:
        """What the kernel returns for them."""
        kernel = self._kernel
        if not self._known:
            return self._first_call(*arguments)
        for argument, known, kind in zip(arguments, self._known, kernel.kinds, strict=True):
            of = argument.__class__
            if argument is known or of is known or of is kind:
                continue
            if of is known.__class__:
                for field, known_field, field_kind in zip(argument, known, kind.fields, strict=True):
                    if field is not known_field and not _is_of(field_kind, field):
                        return kernel.by_numba(*arguments)
            elif not _is_of(kind, argument):
                return kernel.by_numba(*arguments)
        assert kernel.compiled is not None
        return kernel.compiled(*arguments)

    def _first_call(self, *arguments: Any) -> Any:
        """Where the arguments are of other kinds than the kernel was compiled for, every call is a first one."""
        kernel = self._kernel
        code = kernel.code_for(arguments)
        if code is kernel.compiled:
            self._known = tuple(
                one.__class__ if one.__class__ in self._made else one if isinstance(one, tuple) else None
                for one in arguments
            )
        return code(*arguments)
