"""The product of bit-serial inputs and bit-sliced weights, an ADC on every bit, slice and tile, on plain arrays."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from crossbar_sim import mvm_kernels
from crossbar_sim.errors import MappingError
from crossbar_sim.microkernel import BYTE_PRODUCT
from crossbar_sim.threads import side_by_side

INPUT_BITS = 8
NO_KEY = (np.uint32(0), np.uint32(0))
NO_SQUARES, NO_VARIANCE = np.zeros((0, 1, 1), np.float32), np.zeros((1, 1), np.float32)


class BitSlices:
    """Weights as slices of a few bits on tiles, prepared once for many products.

    slices (slices, rows, columns): signed levels of differential pairs, the least significant slice first, each worth
    2^slice_bits of the one before; tile_inputs: rows that one tile holds.
    """

    def __init__(self, slices: NDArray[np.int8], slice_bits: int, tile_inputs: int) -> None:
        count, self.rows, self.columns = slices.shape
        self.tile_inputs, self.tiles = tile_inputs, -(-self.rows // tile_inputs)
        self.largest = int(np.abs(slices.astype(np.int16)).max(initial=0))
        self.worth = 2.0 ** (slice_bits * np.arange(count))
        self.planes = [_padded(plane) for plane in slices]
        whole = sum(int(worth) * plane.astype(np.int64) for worth, plane in zip(self.worth, slices, strict=True))
        fits = np.abs(whole).max(initial=0) <= 127 and tile_inputs * 127 * 128 < 1 << 24
        self.whole = _padded(np.asarray(whole, np.int8)) if fits else None
        self.offset = (128.0 * np.asarray(whole).sum(axis=0)).astype(np.float32)

    def product(
        self, inputs: NDArray[np.uint8], adc_steps: int, adc_range: float, *, collapse: bool = True,
        bytewise: bool = BYTE_PRODUCT,
    ) -> NDArray[np.float32]:  # fmt: skip
        """y = sum over tiles t, slices i, bits k of 2^k worth_i ADC(bit k of inputs_t @ slices[i]_t).

        inputs (vectors, rows): 8-bit numbers, applied one bit after the other. The ADC has the codes -adc_steps ..
        adc_steps over -adc_range .. adc_range levels; adc_steps = 0 is exact. An ADC with one code per level that no
        sum can clip loses nothing: then, unless `collapse` is off, bits and slices are recombined before one exact
        product.
        Raises MappingError if rows do not match.
        """
        vectors, rows = inputs.shape
        if rows != self.rows:
            raise MappingError(f"{rows} inputs do not fit slices of {self.rows} rows; cut both from the same matrix")
        lossless = adc_steps == 0 or (adc_steps == adc_range and self.largest * self.tile_inputs <= adc_steps)
        collapse = collapse and lossless and self.whole is not None
        y = np.zeros((vectors, self.columns), np.float32)
        ranges = np.full((self.tiles, 1), adc_range, np.float32)
        blocks = -(-vectors // mvm_kernels.WIDE)
        workers = max(1, min(numba.get_num_threads(), vectors * rows * self.columns // mvm_kernels.LEAST_WORK))

        def work(worker: int) -> None:
            some = slice(*(blocks * part // workers * mvm_kernels.WIDE for part in (worker, worker + 1)))
            if collapse:
                assert self.whole is not None
                # the kernel takes signed codes: an input less 128, and `offset` puts that back
                driven = self._driven(inputs[some].astype(np.int16) - 128, bytewise)
                y[some] = self._product(driven, self.whole, y[some], 0, ranges, 1.0) + self.offset
                return
            for k in range(INPUT_BITS):
                driven = self._driven(((inputs[some] >> k) & 1).astype(np.int16), bytewise)
                for plane, worth in zip(self.planes, self.worth, strict=True):
                    y[some] += self._product(driven, plane, y[some], adc_steps, ranges, 2.0**k * worth)

        side_by_side(work, workers)
        return y

    def _driven(self, codes: NDArray[np.int16], bytewise: bool) -> NDArray[Any]:
        """Codes (row tiles, vectors and spare rows, tile inputs) as the kernels take them."""
        vectors, rows = codes.shape
        shape = (vectors + mvm_kernels.WIDE + 1, self.tiles * self.tile_inputs)
        zero = mvm_kernels.ZERO_CODE if bytewise else 0
        flat = np.full(shape, zero, np.uint8 if bytewise else np.float32)
        flat[:vectors, :rows] = codes + zero
        return np.ascontiguousarray(flat.reshape(shape[0], self.tiles, self.tile_inputs).swapaxes(0, 1))

    def _product(
        self, driven: NDArray[Any], plane: NDArray[np.int8], like: NDArray[np.float32], adc_steps: int,
        ranges: NDArray[np.float32], weight: float,
    ) -> NDArray[np.float32]:  # fmt: skip
        """weight * sum over tiles of ADC(codes @ plane), by the kernel for this kind of codes."""
        output, peaks, clipped = (
            np.empty_like(like),
            np.zeros(ranges.shape, np.float32),
            np.zeros(ranges.shape, np.int64),
        )
        scale, gain = np.full(len(like), weight, np.float32), np.ones(self.columns, np.float32)
        settings = (self.rows, self.columns, adc_steps, ranges, gain, scale)
        if driven.itemsize == 1:
            mvm_kernels.read_byte_tiles(driven, plane, 1.0, *settings, output, peaks, clipped)
        else:
            mvm_kernels.read_tiles(
                driven, NO_SQUARES, False, plane, 1.0, NO_VARIANCE, *settings, NO_KEY, 0, output, peaks, clipped
            )
        return output


def _padded(plane: NDArray[np.int8]) -> NDArray[np.int8]:
    """A plane (rows, columns) with columns up to a multiple of the kernel's panel."""
    panel = mvm_kernels.PANEL
    wide = np.zeros((len(plane), -(-plane.shape[1] // panel) * panel), np.int8)
    wide[:, : plane.shape[1]] = plane
    return wide
