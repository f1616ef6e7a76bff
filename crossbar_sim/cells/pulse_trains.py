"""Stochastic pulse trains on rows and columns; cells take a pulse where those of their lines coincide.

Gokmen and Vlasov (2016): for every sample each row carries a random train with the probability p_x = C_x |x| of a pulse
in each of its `slots`, each column one with p_d = C_d |d|. A cell takes a pulse in every slot in which both have one,
up or down by the signs of x and d. With a mean step per pulse, the mean change is slots C_x C_d x d step.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from crossbar_sim.cells.compiled.stochastic_update import SLOTS, draw_trains
from crossbar_sim.runtime.counter_random import Key, stream_key
from crossbar_sim.spec.errors import MappingError

Floats = NDArray[np.float64]
Words = NDArray[np.uint32]


@dataclass(frozen=True)
class PulseTrains:
    """Trains of a batch: bit i of a word is a pulse in slot i, bit 31 the sign of the signal.

    slots (samples,): length of each sample's trains; rows (samples, inputs); columns (row tiles, samples, outputs): the
    tiles below one another draw their own.
    """

    slots: NDArray[np.int64]
    rows: Words
    columns: Words


def train_lengths(
    x: Floats, error: Floats, pulses_per_product: float, bits: int
) -> tuple[NDArray[np.int64], Floats, Floats]:
    """slots, C_x and C_d of every sample (samples,) of x (samples, inputs) and error (row tiles, samples, outputs).

    k = pulses_per_product max|x| max|error| is the largest mean number of pulses of a cell. slots = ceil(k), at most
    `bits`; C_x max|x| = C_d max|error| = sqrt(k / slots), so that slots C_x C_d = pulses_per_product. A probability
    exceeds 1, and is cut there, only if k > bits.
    """
    largest_x = np.abs(x).max(axis=1)
    largest_error = np.abs(error).max(axis=(0, 2))
    wanted = pulses_per_product * largest_x * largest_error
    slots = np.minimum(np.ceil(wanted), bits).astype(np.int64)
    none = slots == 0
    chance = np.sqrt(wanted / np.where(none, 1, slots))
    c_x, c_d = (chance / np.where(none, 1.0, largest) for largest in (largest_x, largest_error))
    return slots, c_x, c_d


def draw(x: Floats, error: Floats, pulses_per_product: float, bits: int, key: Key, first_sample: int) -> PulseTrains:
    """Trains of the signals x (samples, inputs) and error (row tiles, samples, outputs), as `train_lengths` says.

    A train depends on its line and on the number of its sample, counted from first_sample, alone.
    """
    if not 1 <= bits <= SLOTS:
        raise MappingError(f"a pulse train has 1 to {SLOTS} bits, got {bits}")
    slots, c_x, c_d = train_lengths(x, error, pulses_per_product, bits)
    rows, columns = np.empty(x.shape, np.uint32), np.empty(error.shape, np.uint32)
    row_key, column_key = (stream_key(int(key[0]), str(int(key[1])), side) for side in ("rows", "columns"))
    draw_trains(x, c_x, slots, row_key, first_sample, 0, rows)
    for tile, signal in enumerate(error):
        draw_trains(signal, c_d, slots, column_key, first_sample, tile * error.shape[2], columns[tile])
    return PulseTrains(slots, rows, columns)
