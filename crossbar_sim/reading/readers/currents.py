"""Reads of cells as float32 currents, with read noise."""

from __future__ import annotations

import numpy as np

from crossbar_sim.reading.compiled.read import read_vectors
from crossbar_sim.reading.compiled.settings import Codes, Currents
from crossbar_sim.reading.programmed import Programmed
from crossbar_sim.reading.readers.base import Converters
from crossbar_sim.reading.readers.product import ProductReader
from crossbar_sim.runtime.compiling import SameTypes
from crossbar_sim.runtime.counter_random import Key

NO_VARIANCE = np.zeros((1, 1), np.float32)
FRACTIONS = np.empty(0, np.float32)
KERNEL = SameTypes(read_vectors)


def currents_reader(programmed: Programmed, converters: Converters, key: Key) -> ProductReader:
    """Of any cells; key: of the random numbers of the read noise."""
    variance = programmed.padded_variance
    codes = Codes(FRACTIONS, False, variance is not None, programmed.even)
    cells = Currents(
        programmed.padded_current, 1.0, NO_VARIANCE if variance is None else variance, programmed.even, key
    )
    return ProductReader(programmed, converters, codes, cells, KERNEL)
