"""Which reader reads the cells of a direction: asked once, when they have settled."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from crossbar_sim.reading.direction import Direction
from crossbar_sim.reading.programmed import Programmed
from crossbar_sim.reading.readers.base import Converters, Reader
from crossbar_sim.reading.readers.bit_planes import BitPlanesReader
from crossbar_sim.reading.readers.bit_serial import BitSerialReader, SlicedLevels
from crossbar_sim.reading.readers.currents import currents_reader
from crossbar_sim.reading.readers.lossless import is_lossless, whole_product
from crossbar_sim.reading.readers.slices import SlicesReader
from crossbar_sim.reading.readers.torch_twin import TorchReader
from crossbar_sim.reading.readers.whole_levels import whole_levels_reader
from crossbar_sim.runtime.counter_random import Key


def choose(direction: Direction, device: str) -> Reader:
    """The cheapest reader of these cells for vectors on a torch device of type `device`, from sums to outputs."""
    layout, converters = direction.layout, direction.converters
    if is_lossless(direction.hardware, layout, direction.transposed):
        exact = Converters(converters.dac_steps, 0, serial=direction.hardware.dac.reads > 1)
        return product_reader(whole_product(direction), exact, direction.keys[0], device)
    if direction.hardware.dac.reads > 1 and device == "cpu" and not layout.spec.references:
        cells = SlicedLevels.of(direction.programmed, direction.places, layout.slice_weights)
        if cells is not None and cells.suit(converters):
            return BitSerialReader(cells, converters)
    return conversions_reader(direction, device)


def conversions_reader(direction: Direction, device: str) -> Reader:
    """A reader of any cells: every conversion of every bit and slice, put together."""
    reader = sums_reader(direction, direction.converters, device)
    return reader if direction.layout.plain else SlicesReader(reader, direction.layout, direction.transposed)


def sums_reader(direction: Direction, converters: Converters, device: str) -> Reader:
    """A reader of any cells whose outputs are the sensed sums; the bits of a serial DAC shifted and added."""
    programmed, keys = direction.programmed, direction.keys
    if direction.hardware.dac.reads == 1:
        return product_reader(programmed, converters, keys[0], device)
    unscaled = replace(programmed, input_scale=np.ones_like(programmed.input_scale))
    one_bit = replace(converters, dac_steps=1)
    if programmed.variance is None:
        bits = [product_reader(unscaled, one_bit, keys[0], device)] * len(keys)
    else:
        bits = [product_reader(unscaled, one_bit, key, device) for key in keys]
    return BitPlanesReader(bits, programmed.input_scale, converters.dac_steps)


def product_reader(programmed: Programmed, converters: Converters, key: Key, device: str) -> Reader:
    """A reader of one product. Compiled code on the CPU, torch operations on any other device and for ADC circuits that
    do more than round."""
    if device != "cpu" or converters.circuit is not None:
        return TorchReader(programmed, converters, key)
    if programmed.reads_whole(converters.dac_steps):
        return whole_levels_reader(programmed, converters)
    return currents_reader(programmed, converters, key)
