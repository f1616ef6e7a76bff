"""Bit-serial, bit-sliced products: against Python's integers, and collapsed where the ADC loses nothing."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crossbar_sim.bit_serial import BitSlices
from crossbar_sim.errors import MappingError


def naive(inputs: np.ndarray, slices: np.ndarray, bits: int, tile: int, steps: int, full: float) -> np.ndarray:
    """One bit, slice and tile after the other, in whole numbers and float32."""
    y = np.zeros((len(inputs), slices.shape[2]))
    for k in range(8):
        bit = (inputs.astype(np.int64) >> k) & 1
        for i, plane in enumerate(slices.astype(np.int64)):
            for top in range(0, inputs.shape[1], tile):
                sums = (bit[:, top : top + tile] @ plane[top : top + tile]).astype(np.float32)
                if steps:
                    code = np.rint(sums * (np.float32(steps) / np.float32(full)))
                    sums = np.clip(code, -steps, steps) * (full / steps)
                y += 2.0**k * 2.0 ** (bits * i) * sums
    return y


def draw(vectors: int, rows: int, columns: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    weight = generator.integers(-127, 128, (rows, columns))
    slices = [np.sign(weight) * ((np.abs(weight) >> 2 * i) & 3) for i in range(4)]
    return generator.integers(0, 256, (vectors, rows)).astype(np.uint8), np.array(slices, np.int8)


@given(
    vectors=st.integers(1, 20), rows=st.integers(1, 40), columns=st.integers(1, 40), tile=st.integers(1, 24),
    adc=st.sampled_from([(0, 1.0), (7, 7.0), (127, 127.0), (15, 40.0)]), seed=st.integers(0, 99),
)  # fmt: skip
@settings(max_examples=25, deadline=None)
def test_kernels_equal_their_slow_twin(
    vectors: int, rows: int, columns: int, tile: int, adc: tuple[int, float], seed: int
) -> None:
    inputs, slices = draw(vectors, rows, columns, seed)
    slow = naive(inputs, slices, 2, tile, *adc)
    for options in ({}, {"bytewise": False}, {"collapse": False}, {"collapse": False, "bytewise": False}):
        fast = BitSlices(slices, 2, tile).product(inputs, *adc, **options)
        np.testing.assert_allclose(fast, slow, rtol=1e-6, atol=1e-6 * max(np.abs(slow).max(), 1))


def test_a_lossless_adc_collapses_into_one_product() -> None:
    """127 codes of one level each cover 32 rows of levels up to 3; the integers below are exact."""
    inputs, slices = draw(40, 90, 50, 0)
    matrix = BitSlices(slices, 2, 32)
    weight = np.tensordot(4 ** np.arange(4), slices.astype(np.int64), 1)
    exact = inputs.astype(np.int64) @ weight
    assert np.abs(exact).max() < 1 << 24
    for options in ({}, {"collapse": False}, {"bytewise": False}):
        assert np.array_equal(matrix.product(inputs, 127, 127.0, **options), exact)
    assert not np.array_equal(matrix.product(inputs, 20, 20.0), exact)


def test_rows_must_match() -> None:
    inputs, slices = draw(2, 5, 3, 0)
    with pytest.raises(MappingError, match="4 inputs do not fit slices of 5 rows"):
        BitSlices(slices, 2, 8).product(inputs[:, :4], 0, 1.0)
