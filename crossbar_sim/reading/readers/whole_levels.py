"""Reads of noise-free cells on levels as sums of whole numbers, exact until the ADC rounds."""

from __future__ import annotations

import numpy as np

from crossbar_sim.reading.compiled.llvm.blocks import BYTE_PRODUCT
from crossbar_sim.reading.compiled.read import read_vectors
from crossbar_sim.reading.compiled.settings import Codes, Currents, PackedLevels
from crossbar_sim.reading.programmed import Programmed
from crossbar_sim.reading.readers.base import Converters
from crossbar_sim.reading.readers.currents import NO_VARIANCE
from crossbar_sim.reading.readers.product import ProductReader
from crossbar_sim.runtime.compiling import SameTypes
from crossbar_sim.runtime.counter_random import Key

BYTES = np.empty(0, np.uint8)
WORDS = np.empty(0, np.int16)
WHOLE = np.empty(0, np.float32)
BY_BYTES, BY_WORDS, PORTABLE = (SameTypes(read_vectors) for _ in range(3))
NO_KEY: Key = (np.uint32(0), np.uint32(0))


def whole_levels_reader(
    programmed: Programmed, converters: Converters, byte_product: bool = BYTE_PRODUCT
) -> ProductReader:
    """Of cells for which `programmed.reads_whole`; the same bits with and without the processor's `byte_product`."""
    steps, levels = converters.dac_steps, programmed.levels
    assert levels is not None
    unit = programmed.level / steps
    if not byte_product:
        cells = Currents(levels, unit, NO_VARIANCE, False, NO_KEY)
        return ProductReader(programmed, converters, Codes(WHOLE, True, False, False), cells, PORTABLE)
    packed = PackedLevels(*programmed.packed(steps), unit)
    if programmed.fits_bytes(steps):
        return ProductReader(programmed, converters, Codes(BYTES, True, False, False), packed, BY_BYTES)
    return ProductReader(programmed, converters, Codes(WORDS, True, False, False), packed, BY_WORDS)
