"""How kernels are compiled: functions that Python calls, and the parts they are made of.

numba would give every function a wrapper for Python and one for C; compiling those takes about as long as compiling a
small function itself, at the first use of the package. A part has neither and must not be called from Python.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from numba import njit, typeof

entry: Any = partial(njit, cache=True, no_cfunc_wrapper=True)
"""A kernel that Python calls, kept on disk once it is compiled; takes the options of `numba.njit`."""

part: Any = partial(njit, no_cpython_wrapper=True, no_cfunc_wrapper=True)
"""A function that only kernels call. inline="always" is for a large one in a small kernel: LLVM then sees it once, and
not alone as well; where many are put together, numba takes longer than LLVM is spared."""


class SameTypes:
    """A kernel that is always called with arguments of the same types, by `call`.

    numba looks the types of all arguments up at every call, 0.4 us for each field of a named tuple; here they are
    looked up at the first one, and later ones go straight to the compiled code.
    """

    def __init__(self, kernel: Any) -> None:
        self._kernel = kernel
        self.call: Callable[..., Any] = self._first_call

    def _first_call(self, *arguments: Any) -> Any:
        self.call = self._kernel.compile(tuple(typeof(argument) for argument in arguments))
        return self.call(*arguments)
