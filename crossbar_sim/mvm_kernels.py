"""Numba kernels of the analog matrix-vector product: drive, sum currents per tile, add noise, convert."""

from __future__ import annotations

import numpy as np
from numba import njit, prange

from crossbar_sim.counter_random import normal_pair

BLOCK = 4  # vectors that share one pass over the conductances


@njit(cache=True, parallel=True)
def drive(x, steps, codes, scale):
    """Per vector: scale = max|x|, codes = round(x / scale * steps) / steps (exact if steps is 0)."""
    for b in prange(x.shape[0]):
        largest = np.float32(0)
        for k in range(x.shape[1]):
            size = abs(x[b, k])
            if not size <= largest:  # also true for NaN, which then reaches `scale`
                largest = size
        scale[b] = largest
        inverse = np.float32(1) / largest if largest > np.float32(0) else np.float32(0)
        if steps > 0:
            wide = np.float32(steps)
            for k in range(x.shape[1]):
                codes[b, k] = np.rint(x[b, k] * inverse * wide) / wide
        else:
            for k in range(x.shape[1]):
                codes[b, k] = x[b, k] * inverse


@njit(cache=True, parallel=True, fastmath={"contract"})
def analog_product(
    codes, current, variance, tile_rows, tile_columns, noisy, steps, ranges, key, first_read, output, peaks, clipped
):
    """output = sum over row tiles of ADC(codes @ current + noise), one ADC per tile column.

    codes (vectors, rows) in [-1, 1]; current (rows, columns) ampere at full drive; variance (rows, columns)
    ampere^2; ranges (row tiles, column tiles) ampere, used if steps > 0; peaks and clipped
    (blocks, row tiles, column tiles) receive the largest |current| and the number of clipped conversions.
    The noise of output (vector b, row tile t, column j) has the counter (first_read + b, t, j).
    """
    vectors, rows = codes.shape
    columns = current.shape[1]
    row_tiles, column_tiles = ranges.shape
    pairs = (columns + 1) // 2
    k0, k1 = key
    for block in prange((vectors + BLOCK - 1) // BLOCK):
        b0 = block * BLOCK
        count = min(BLOCK, vectors - b0)
        sums = np.empty((BLOCK, columns), np.float32)
        noise = np.empty((BLOCK, columns), np.float32)
        for b in range(count):
            for j in range(columns):
                output[b0 + b, j] = np.float32(0)
        for t in range(row_tiles):
            top, bottom = t * tile_rows, min((t + 1) * tile_rows, rows)
            for b in range(count):
                for j in range(columns):
                    sums[b, j] = np.float32(0)
            if count == BLOCK:
                for k in range(top, bottom):
                    c0, c1, c2, c3 = codes[b0, k], codes[b0 + 1, k], codes[b0 + 2, k], codes[b0 + 3, k]
                    for j in range(columns):
                        g = current[k, j]
                        sums[0, j] += c0 * g
                        sums[1, j] += c1 * g
                        sums[2, j] += c2 * g
                        sums[3, j] += c3 * g
            else:
                for b in range(count):
                    for k in range(top, bottom):
                        c = codes[b0 + b, k]
                        for j in range(columns):
                            sums[b, j] += c * current[k, j]
            if noisy:
                for b in range(count):
                    for j in range(columns):
                        noise[b, j] = np.float32(0)
                    for k in range(top, bottom):
                        c = codes[b0 + b, k] * codes[b0 + b, k]
                        for j in range(columns):
                            noise[b, j] += c * variance[k, j]
                    read = np.uint32(first_read + b0 + b)
                    for p in range(pairs):
                        z0, z1 = normal_pair(read, np.uint32(t * pairs + p), k0, k1)
                        j = 2 * p
                        sums[b, j] += np.sqrt(noise[b, j]) * z0
                        if j + 1 < columns:
                            sums[b, j + 1] += np.sqrt(noise[b, j + 1]) * z1
            for u in range(column_tiles):
                left, right = u * tile_columns, min((u + 1) * tile_columns, columns)
                peak = np.float32(0)
                over = 0
                full = ranges[t, u]
                if steps > 0 and full > np.float32(0):
                    limit = np.float32(steps)
                    to_code, to_current = limit / full, full / limit
                    for b in range(count):
                        for j in range(left, right):
                            s = sums[b, j]
                            peak = max(peak, abs(s))
                            code = np.rint(s * to_code)
                            if abs(code) > limit:
                                over += 1
                                code = limit if code > np.float32(0) else -limit
                            output[b0 + b, j] += code * to_current
                else:
                    for b in range(count):
                        for j in range(left, right):
                            s = sums[b, j]
                            peak = max(peak, abs(s))
                            output[b0 + b, j] += s
                peaks[block, t, u] = peak
                clipped[block, t, u] = over
