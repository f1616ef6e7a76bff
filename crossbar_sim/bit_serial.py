"""The product of bit-serial inputs and bit-sliced weights, an ADC on every bit, slice and tile: plain arrays in and out."""

from __future__ import annotations

import numba
import numpy as np
from numpy.typing import NDArray

from crossbar_sim import mvm_kernels
from crossbar_sim.errors import MappingError
from crossbar_sim.microkernel import BYTE_PRODUCT
from crossbar_sim.threads import side_by_side

INPUT_BITS = 8
NO_KEY = (np.uint32(0), np.uint32(0))


def bit_serial_product(
    inputs: NDArray[np.uint8], slices: NDArray[np.int8], slice_bits: int, tile_inputs: int, adc_steps: int,
    adc_range: float, *, collapse: bool = True, bytewise: bool = BYTE_PRODUCT,
) -> NDArray[np.float32]:  # fmt: skip
    """y = sum over tiles t, slices i, bits k of 2^k 2^(i slice_bits) ADC(bit k of inputs_t @ slices[i]_t).

    inputs (vectors, rows): 8-bit numbers, applied one bit after the other; slices (slices, rows, columns): signed levels
    of differential pairs, the least significant slice first; tile_inputs: rows that one tile holds. The ADC has the codes
    -adc_steps .. adc_steps over -adc_range .. adc_range levels; adc_steps = 0 is exact. An ADC with one code per level
    that no sum can clip loses nothing: then, unless `collapse` is off, bits and slices are recombined before one exact
    product. Raises MappingError if rows do not match.
    """
    (vectors, rows), (count, depth, columns) = inputs.shape, slices.shape
    if rows != depth:
        raise MappingError(f"{rows} inputs do not fit slices of {depth} rows; cut both from the same matrix")
    weights = 2.0 ** (slice_bits * np.arange(count))
    padded = np.zeros((count, rows, -(-columns // mvm_kernels.PANEL) * mvm_kernels.PANEL), np.int8)
    padded[:, :, :columns] = slices
    tiles = -(-rows // tile_inputs)
    ranges = np.full((tiles, 1), adc_range, np.float32)
    y = np.zeros((vectors, columns), np.float32)
    whole = np.tensordot(weights, padded.astype(np.int64), 1) if collapse and _lossless(
        slices, tile_inputs, adc_steps, adc_range
    ) else None  # fmt: skip
    if whole is not None and np.abs(whole).max(initial=0) <= 127 and tile_inputs * 127 * 128 < 1 << 24:
        planes, shifts, bits = whole.astype(np.int8)[None], np.ones(1), None
    else:
        planes, shifts, bits = padded, weights, range(INPUT_BITS)
    workers = max(1, min(numba.get_num_threads(), vectors * rows * columns // mvm_kernels.LEAST_WORK))

    def work(worker: int) -> None:
        some = slice(vectors * worker // workers, vectors * (worker + 1) // workers)
        total = y[some]
        for k in (0,) if bits is None else bits:
            # the kernel takes signed codes: a bit as it is, a whole number less 128
            codes = inputs[some].astype(np.int16) - 128 if bits is None else ((inputs[some] >> k) & 1).astype(np.int16)
            for plane, shift in zip(planes, shifts, strict=True):
                steps = 0 if bits is None else adc_steps
                total += _one_product(codes, plane, columns, tile_inputs, steps, ranges, 2.0**k * shift, bytewise)

    side_by_side(work, workers)
    if bits is None:
        y += (128.0 * planes[0].sum(axis=0, dtype=np.int64)[:columns]).astype(np.float32)
    return y


def _lossless(slices: NDArray[np.int8], tile_inputs: int, adc_steps: int, adc_range: float) -> bool:
    """Whether every sum of a tile is one of the ADC's codes (or the ADC is exact)."""
    largest = int(np.abs(slices.astype(np.int16)).max(initial=0)) * tile_inputs
    return adc_steps == 0 or (adc_steps == adc_range and largest <= adc_steps)


def _one_product(
    codes: NDArray[np.int16], plane: NDArray[np.int8], columns: int, tile_inputs: int, adc_steps: int,
    ranges: NDArray[np.float32], weight: float, bytewise: bool,
) -> NDArray[np.float32]:  # fmt: skip
    """weight * sum over tiles of ADC(codes @ plane), by whichever kernel the processor has."""
    vectors, rows = codes.shape
    spare, tiles = mvm_kernels.WIDE + 1, len(ranges)
    zero, kind = (mvm_kernels.ZERO_CODE, np.uint8) if bytewise else (0, np.float32)
    flat = np.full((vectors + spare, tiles * tile_inputs), zero, kind)
    flat[:vectors, :rows] = codes + zero
    driven = np.ascontiguousarray(flat.reshape(vectors + spare, tiles, tile_inputs).swapaxes(0, 1))
    scale, gain = np.full(vectors, weight, np.float32), np.ones(columns, np.float32)
    output = np.empty((vectors, columns), np.float32)
    peaks, clipped = np.zeros(ranges.shape, np.float32), np.zeros(ranges.shape, np.int64)
    settings = (1.0, rows, columns, adc_steps, ranges, gain, scale)
    if bytewise:
        mvm_kernels.read_byte_tiles(driven, plane, *settings, output, peaks, clipped)
    else:
        nothing = np.zeros((0, 1, 1), np.float32)
        mvm_kernels.read_tiles(
            driven, nothing, False, plane, 1.0, np.zeros((1, 1), np.float32), *settings[1:], NO_KEY, 0,
            output, peaks, clipped,
        )  # fmt: skip
    return output
