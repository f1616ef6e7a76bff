"""ProductReader: every tile's currents in compiled code, whatever its cells are held as."""

from __future__ import annotations

import numpy as np
import torch

from crossbar_sim.reading.compiled.drive import BLOCK
from crossbar_sim.reading.compiled.settings import Codes, Currents, Drive, Grid, PackedLevels, Results, Sense
from crossbar_sim.reading.compiled.tiles import LEAST_WORK
from crossbar_sim.reading.programmed import Programmed
from crossbar_sim.reading.readers.base import Converters, Reader, Reading, Singles
from crossbar_sim.runtime.compiling import FixedArguments, SameTypes
from crossbar_sim.runtime.threads import side_by_side, thread_count


class ProductReader(Reader):
    """A read by `read_vectors`, on as many threads as it is worth; bit-identical for any number of them.

    codes, cells: how the lines are coded and the cells held; kernel: `read_vectors` for their types.
    """

    def __init__(
        self,
        programmed: Programmed,
        converters: Converters,
        codes: Codes,
        cells: Currents | PackedLevels,
        kernel: SameTypes,
    ) -> None:
        (inputs, outputs), grid = programmed.current.shape, programmed.grid
        self._codes = codes
        self._cells = cells
        self._drive = Drive(
            programmed.input_scale, converters.dac_steps, 0.0, converters.serial, programmed.line_conductance
        )
        self._sense = Sense(converters.adc_steps, programmed.tile_scale, programmed.tile_scale, programmed.output_scale)
        self._grid = Grid(inputs, programmed.tile_inputs, programmed.tile_outputs)
        self._kernel = FixedArguments(kernel, made=(Results,))
        self._products = inputs * outputs
        self._outputs = outputs
        self._tiles = grid

    def read(self, x: torch.Tensor, full_drive: float, ranges: Singles, first_read: int) -> Reading:
        vectors = x.detach().contiguous().numpy()
        sense = self._sense
        drive = self._drive
        count, outputs = len(vectors), self._outputs
        if sense.adc_steps:
            sense = Sense(sense.adc_steps, ranges, sense.tile_scale, sense.output_scale)
        if full_drive:
            drive = drive._replace(full_drive=full_drive)
        output, conduction = np.empty((count, outputs), np.float32), np.empty(-(-count // BLOCK))
        workers = count * self._products // LEAST_WORK
        if workers > 1:
            workers = min(workers, thread_count())
        if workers < 2:
            peaks, clipped = np.zeros(self._tiles, np.float32), np.zeros(self._tiles, np.int64)
            results = Results(output, conduction, peaks, clipped)
            self._kernel.call(vectors, first_read, drive, self._codes, self._cells, sense, self._grid, results)
            return Reading(torch.from_numpy(output), float(np.add.reduce(conduction)), peaks, clipped)
        of_worker = np.zeros((workers, *self._tiles), np.float32), np.zeros((workers, *self._tiles), np.int64)
        kernel = self._kernel.call

        def work(worker: int) -> None:
            first, last = len(conduction) * worker // workers, len(conduction) * (worker + 1) // workers
            part = slice(first * BLOCK, last * BLOCK)
            results = Results(output[part], conduction[first:last], *(one[worker] for one in of_worker))
            kernel(vectors[part], first_read + part.start, drive, self._codes, self._cells, sense, self._grid, results)

        side_by_side(work, workers)
        peaks, clipped = of_worker[0].max(axis=0), of_worker[1].sum(axis=0)
        return Reading(torch.from_numpy(output), float(np.add.reduce(conduction)), peaks, clipped)
