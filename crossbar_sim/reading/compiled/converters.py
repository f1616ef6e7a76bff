"""The DAC, once: what word lines are driven with. The ADC is in `llvm.adc`."""

from __future__ import annotations

import numpy as np

from crossbar_sim.runtime.compiling import part

SMALLEST = np.float32(2.0**-126)
"""A vector below the smallest normal float is read as zero: 1 / m would overflow."""


@part
def dac_code(fraction, steps):
    """round(fraction * steps), ties to even: the code of a line at this fraction of full drive (float32)."""
    return np.rint(fraction * steps)


@part
def largest_of(x, b, input_scale):
    """max|x s| of vector b, by the bits of the numbers, which grow with them; NaN if any is."""
    largest = np.int32(0)
    for k in range(input_scale.size):
        scaled = np.float32(x[b, k] * input_scale[k])
        largest = max(largest, np.int32(scaled.view(np.int32) & np.int32(0x7FFFFFFF)))
    found = np.int32(largest)
    return found.view(np.float32)


@part
def bits_set(size):
    """How many bits of a whole number of at most 15 bits (uint32) are set, counted in parallel."""
    size -= (size >> np.uint32(1)) & np.uint32(0x5555)
    size = (size & np.uint32(0x3333)) + ((size >> np.uint32(2)) & np.uint32(0x3333))
    size = (size + (size >> np.uint32(4))) & np.uint32(0x0F0F)
    return (size + (size >> np.uint32(8))) & np.uint32(0x1F)
