"""The analog matrix-vector product of one matrix on tiles: numba on the CPU, its torch twin anywhere."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numba
import numpy as np
import torch
from numpy.typing import NDArray

from crossbar_sim.reading.adc_circuits import Transfer
from crossbar_sim.reading.compiled import levels as level_kernels
from crossbar_sim.reading.compiled.drive import BLOCK, SMALLEST
from crossbar_sim.reading.compiled.llvm.blocks import BYTE_PRODUCT, PANEL
from crossbar_sim.reading.compiled.read import read_levels, read_vectors
from crossbar_sim.reading.compiled.tiles import LEAST_WORK, PAIRS
from crossbar_sim.runtime.counter_random import Key, torch_normal_pair
from crossbar_sim.runtime.threads import side_by_side

Singles = NDArray[np.float32]
Floats = NDArray[np.float64]
NO_VARIANCE = np.zeros((1, 1), np.float32)
BYTES, WORDS = np.empty(0, np.uint8), np.empty(0, np.int16)  # what codes may be stored as


@dataclass
class Programmed:
    """What reads in one direction need, computed once when cells are programmed (the arrays are refilled then).

    current (inputs, outputs): ampere of each differential pair at full drive; variance (same shape): its
    read-noise variance, ampere^2, or None; both are views of arrays whose columns are padded for the kernel;
    line_conductance (inputs,): siemens along each driven line; input_scale, output_scale: digital factors
    before the DAC and after the ADC; tile_inputs, tile_outputs: how many inputs and outputs share one tile;
    tile_scale (grid): digital factor of each tile's conversions before they are added up.
    What `settle` finds: levels, current as whole numbers of at most `largest_level` in units of `level` ampere, or
    None; even, whether the variance is the same everywhere.
    """

    current: Singles
    variance: Singles | None
    line_conductance: Singles
    input_scale: Singles
    output_scale: Singles
    tile_inputs: int
    tile_outputs: int
    tile_scale: Singles
    levels: NDArray[np.int16] | None = None
    level: float = 0.0
    largest_level: int = 0
    even: bool = False
    _packed: tuple[NDArray[Any], NDArray[np.int32]] | None = None

    @classmethod
    def empty(cls, inputs: int, outputs: int, tile_inputs: int, tile_outputs: int, noisy: bool) -> Programmed:
        """All zeros, to be filled in place."""
        padded = (inputs, -(-outputs // PANEL) * PANEL)
        return cls(
            np.zeros(padded, np.float32)[:, :outputs],
            np.zeros(padded, np.float32)[:, :outputs] if noisy else None,
            np.zeros(inputs, np.float32),
            np.zeros(inputs, np.float32),
            np.zeros(outputs, np.float32),
            tile_inputs,
            tile_outputs,
            np.ones((-(-inputs // tile_inputs), -(-outputs // tile_outputs)), np.float32),
        )

    @property
    def padded(self) -> tuple[Any, Any]:
        """The arrays that `empty` made, of which current and variance (current again without noise) are views."""
        return self.current.base, (self.current if self.variance is None else self.variance).base

    def settle(self, level: float | None) -> None:
        """Look once, after the arrays were refilled, for what makes reads cheaper: cells that stand exactly on levels
        of `level` ampere (None: they need not) are read in whole numbers, without rounding until the ADC."""
        self.even = self.variance is not None and bool(level_kernels.same_everywhere(self.variance))
        levels, self.levels, self._packed = self.levels, None, None
        if level is not None and self.variance is None and len(self.current) > 0:
            if levels is None:
                padded = -(-self.current.shape[1] // PANEL) * PANEL
                levels = np.zeros((len(self.current), padded), np.int16)
            largest = level_kernels.whole_levels(self.current, level, levels)
            if largest >= 0:
                self.levels, self.level, self.largest_level = levels, level, largest

    def reads_whole(self, dac_steps: int) -> bool:
        """Whether reads are sums of whole numbers that float32 holds exactly."""
        largest_sum = self.tile_inputs * dac_steps * max(self.largest_level, 1)
        return self.levels is not None and 0 < dac_steps < 1 << 15 and largest_sum < 1 << 24

    def fits_bytes(self, dac_steps: int) -> bool:
        """Whether codes and levels have at most 7 bits and a sign."""
        return dac_steps <= 127 and self.largest_level <= 127

    def packed(self, dac_steps: int) -> tuple[NDArray[Any], NDArray[np.int32]]:
        """The levels as `level_kernels.pack` orders them, in bytes where they fit."""
        fits = self.fits_bytes(dac_steps)
        if self._packed is None or (self._packed[0].itemsize == 1) != fits:
            assert self.levels is not None
            columns, (kind, rows) = self.levels.shape[1], (np.int8, 4) if fits else (np.int16, 2)
            shape = (self.grid[0], columns // PANEL, -(-self.tile_inputs // rows), PANEL, rows)
            self._packed = np.empty(shape, kind), np.empty((self.grid[0], columns), np.int32)
            level_kernels.pack(self.levels, self.tile_inputs, *self._packed)
        return self._packed

    @cached_property
    def grid(self) -> tuple[int, int]:
        """Tiles along inputs and outputs."""
        inputs, outputs = self.current.shape
        return -(-inputs // self.tile_inputs), -(-outputs // self.tile_outputs)


@dataclass(slots=True)
class Conversion:
    """Converter settings of one read: largest DAC and ADC codes (0 = exact) and the ADC ranges (grid) in ampere.

    full_drive: the |x input_scale| that drives a line fully, beyond which it is clipped; 0: the largest of each vector.
    transfer: the ADC circuit where it is more than rounding (None: it is not); adc_steps then only has to be positive.
    serial: lines conduct as if driven fully once per bit of their code that is set.
    """

    dac_steps: int
    adc_steps: int
    ranges: Singles
    full_drive: float = 0.0
    transfer: Transfer | None = None
    serial: bool = False


@dataclass(slots=True)
class Reading:
    """Result of a read: output (vectors, outputs); conduction, the sum over vectors and lines of squared drive
    times line conductance (siemens); per tile (grid) the largest |current| and the clipped conversions."""

    output: torch.Tensor
    conduction: float
    peaks: Singles
    clipped: NDArray[np.int64]


def read(x: torch.Tensor, programmed: Programmed, conversion: Conversion, key: Key, first_read: int) -> Reading:
    """y = m output_scale * sum over row tiles of ADC(DAC(x input_scale / m) G + noise), m = max|x input_scale|.

    x (vectors, inputs) float32; the vectors are reads number first_read, first_read + 1, ... Compiled
    kernel on the CPU, torch operations on any other device and for ADC circuits that do more than round. A NaN in
    x makes its whole output row NaN.
    """
    chosen = read_numba if x.device.type == "cpu" and conversion.transfer is None else read_torch
    return chosen(x, programmed, conversion, key, first_read)


def read_numba(
    x: torch.Tensor,
    programmed: Programmed,
    conversion: Conversion,
    key: Key,
    first_read: int,
    bytewise: bool = BYTE_PRODUCT,
) -> Reading:
    """`read` by the compiled kernels; bit-identical for any number of threads, and whether or not whole levels are read
    `bytewise`, by a processor's product of bytes."""
    vectors, grid = x.detach().contiguous().numpy(), programmed.grid
    (count, inputs), outputs = vectors.shape, len(programmed.output_scale)
    blocks = -(-count // BLOCK)
    workers = count * inputs * outputs // LEAST_WORK
    workers = 1 if workers < 2 else min(numba.get_num_threads(), workers)
    output, conduction = np.empty((count, outputs), np.float32), np.empty(blocks)
    peaks, clipped = np.zeros((workers, *grid), np.float32), np.zeros((workers, *grid), np.int64)
    whole = programmed.reads_whole(conversion.dac_steps)
    unit = programmed.level / conversion.dac_steps if whole else 1.0
    settings = (
        programmed.input_scale,
        conversion.dac_steps,
        conversion.full_drive,
        conversion.serial,
        programmed.line_conductance,
        unit,
        programmed.tile_inputs,
        programmed.tile_outputs,
        conversion.adc_steps,
        conversion.ranges,
        programmed.tile_scale,
        programmed.output_scale,
    )
    if whole and bytewise:
        levels = programmed.packed(conversion.dac_steps)
        kind = BYTES if programmed.fits_bytes(conversion.dac_steps) else WORDS
    else:
        matrix = programmed.levels if whole else programmed.current.base
        variance = NO_VARIANCE if programmed.variance is None else programmed.variance.base
        noise = programmed.variance is not None, programmed.even, variance, key

    def work(worker: int) -> None:
        first, last = blocks * worker // workers, blocks * (worker + 1) // workers
        part = slice(first * BLOCK, last * BLOCK)
        results = output[part], conduction[first:last], peaks[worker], clipped[worker]
        if whole and bytewise:
            read_levels(vectors[part], *settings, *results, *levels, kind)
        else:
            read_vectors(vectors[part], *settings, *results, whole, matrix, *noise, first_read + part.start)

    side_by_side(work, workers)
    if workers > 1:
        peaks[0], clipped[0] = peaks.max(axis=0), clipped.sum(axis=0)
    return Reading(torch.from_numpy(output), float(np.add.reduce(conduction)), peaks[0], clipped[0])


def read_torch(x: torch.Tensor, programmed: Programmed, conversion: Conversion, key: Key, first_read: int) -> Reading:
    """`read` in torch operations, on the device of `x`; the same noise draws to about 1e-5."""

    def here(array: Singles) -> torch.Tensor:
        return torch.as_tensor(array, device=x.device)

    current, ranges = here(programmed.current), here(conversion.ranges)
    codes = x * here(programmed.input_scale)
    if conversion.full_drive:
        largest = torch.full_like(codes[:, :1], conversion.full_drive)
        codes = codes.clamp(-conversion.full_drive, conversion.full_drive)
    else:
        largest = codes.abs().amax(dim=1, keepdim=True)
    codes = torch.where(largest < float(SMALLEST), 0.0, codes / largest)
    if conversion.dac_steps:
        codes = torch.round(codes * conversion.dac_steps) / conversion.dac_steps
    (row_tiles, column_tiles), outputs = programmed.grid, current.shape[1]
    of_tile = torch.arange(outputs, device=x.device) // programmed.tile_outputs
    pairs = -(-outputs // PANEL) * PAIRS
    total = torch.zeros(len(x), outputs, device=x.device)
    peaks = torch.zeros(row_tiles, column_tiles, device=x.device)
    clipped = torch.zeros(row_tiles, column_tiles, dtype=torch.long, device=x.device)
    for t in range(row_tiles):
        rows = slice(t * programmed.tile_inputs, (t + 1) * programmed.tile_inputs)
        sums = codes[:, rows] @ current[rows]
        if programmed.variance is not None:
            reads = torch.arange(first_read, first_read + len(x), device=x.device)[:, None]
            counters = torch.arange(t * pairs, (t + 1) * pairs, device=x.device).expand(len(x), -1)
            z0, z1 = torch_normal_pair(reads.expand(-1, pairs), counters, key)
            panels = [z.unflatten(1, (-1, PAIRS)) for z in (z0, z1)]
            z = torch.cat(panels, dim=2).flatten(1)
            sums = sums + (codes[:, rows].square() @ here(programmed.variance[rows])).sqrt() * z[:, :outputs]
        for u in range(column_tiles):
            peaks[t, u] = sums[:, of_tile == u].abs().max() if len(x) else 0.0
        if conversion.adc_steps and conversion.transfer is not None:
            sums, over = conversion.transfer(sums, ranges[t][of_tile], t)
            clipped[t].index_add_(0, of_tile, over.sum(dim=0))
        elif conversion.adc_steps:
            full = ranges[t][of_tile]
            code = torch.round(sums * (conversion.adc_steps / full))
            clipped[t].index_add_(0, of_tile, (code.abs() > conversion.adc_steps).sum(dim=0))
            sums = code.clamp(-conversion.adc_steps, conversion.adc_steps) * (full / conversion.adc_steps)
        total += sums * here(programmed.tile_scale[t])[of_tile]
    worth = _bits_set(codes * conversion.dac_steps) if conversion.serial else codes.square()
    conduction = float((worth.sum(dim=0) * here(programmed.line_conductance)).sum())
    output = total * largest * here(programmed.output_scale)
    return Reading(output, conduction, peaks.cpu().numpy(), clipped.cpu().numpy())


def _bits_set(codes: torch.Tensor) -> torch.Tensor:
    """Of the sizes of whole numbers of at most 15 bits, how many bits are set; NaN where one is."""
    sizes = codes.abs().round().nan_to_num().int()
    return sum((sizes >> bit & 1 for bit in range(15)), start=0.0 * codes)
