"""Kernels whose argument types are looked up once never take other arguments for what they were compiled for."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pytest
from numba import njit
from numpy.typing import NDArray

from crossbar_sim.runtime.compiling import FixedArguments, SameTypes

MATRIX = np.arange(12.0).reshape(3, 4) + 0.5


class Given(NamedTuple):
    """One matrix and its factor, as kernels are told."""

    factor: float
    matrix: NDArray[Any]


@njit
def weighted(given):  # type: ignore[no-untyped-def]
    """factor * sum of (1 + i + 2 j) matrix[i, j]."""
    total = 0.0
    for i in range(given.matrix.shape[0]):
        for j in range(given.matrix.shape[1]):
            total += (1 + i + 2 * j) * given.matrix[i, j]
    return given.factor * total


@njit
def overwrite(array):  # type: ignore[no-untyped-def]
    array[:] = 1.0


def expected(given: Given) -> float:
    rows, columns = given.matrix.shape
    return float(given.factor * (given.matrix * (1 + np.arange(rows)[:, None] + 2 * np.arange(columns))).sum())


def read_only(array: NDArray[Any]) -> NDArray[Any]:
    array = array.copy()
    array.flags.writeable = False
    return array


def unaligned(array: NDArray[Any]) -> NDArray[Any]:
    memory = np.empty(array.nbytes + 1, np.uint8)[1:].view(array.dtype).reshape(array.shape)
    memory[:] = array
    return memory


OTHERS = {
    "column by column": Given(1.0, np.asfortranarray(MATRIX)),
    "every other column": Given(1.0, np.repeat(MATRIX, 2, axis=1)[:, ::2]),
    "backwards": Given(1.0, MATRIX[:, ::-1]),
    "read only": Given(1.0, read_only(MATRIX)),
    "not aligned": Given(1.0, unaligned(MATRIX)),
    "whole numbers of the same size": Given(1.0, MATRIX.astype(np.int64)),
    "smaller numbers": Given(1.0, MATRIX.astype(np.float32)),
    "a whole factor": Given(3, MATRIX),
    "a broken factor": Given(0.5, MATRIX),
    "a factor of numpy": Given(np.float64(0.5), MATRIX),  # type: ignore[arg-type]
    "a yes or no": Given(True, MATRIX),
}


@pytest.mark.parametrize("first", [Given(1.0, MATRIX), *OTHERS.values()], ids=["usual", *OTHERS])
def test_arguments_of_other_types_are_never_misread(first: Given) -> None:
    kernel = SameTypes(weighted)
    fixed = FixedArguments(kernel)
    assert kernel.call(first) == expected(first)
    for other in (Given(1.0, MATRIX), *OTHERS.values(), first):
        for _ in range(2):
            assert kernel.call(other) == pytest.approx(expected(other), rel=1e-15)
            assert fixed.call(other) == pytest.approx(expected(other), rel=1e-15)


def test_other_numbers_of_dimensions_and_arguments_are_refused() -> None:
    kernel = SameTypes(weighted)
    kernel.call(Given(1.0, MATRIX))
    with pytest.raises(Exception, match="tuple|index|dimension|shape"):
        kernel.call(Given(1.0, MATRIX[0]))
    with pytest.raises(TypeError):
        kernel.call(Given(1.0, MATRIX), 1)


def test_arrays_that_are_read_only_are_not_written() -> None:
    kernel = SameTypes(overwrite)
    kernel.call(np.zeros(3))
    kept = read_only(np.zeros(3))
    with pytest.raises(Exception, match="modify readonly"):
        kernel.call(kept)
    assert not kept.any()


def test_the_usual_arguments_go_straight_to_the_compiled_code() -> None:
    kernel = SameTypes(weighted)
    given = Given(1.0, MATRIX)
    fixed = FixedArguments(kernel)
    for _ in range(2):
        fixed.call(given)
    assert kernel.code_for((Given(2.0, MATRIX + 1.0),)) is kernel.compiled
    assert kernel.code_for((Given(2.0, MATRIX.T),)) is kernel.by_numba
