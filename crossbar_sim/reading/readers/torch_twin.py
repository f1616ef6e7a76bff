"""TorchReader: the product in torch operations, on the device of the vectors and through any ADC circuit.

DAC and ADC round here once more, since compiled code runs neither on an accelerator nor through a circuit.
"""

from __future__ import annotations

import torch

from crossbar_sim.reading.compiled.converters import SMALLEST
from crossbar_sim.reading.compiled.llvm.vector_code import PANEL
from crossbar_sim.reading.compiled.tiles import PAIRS
from crossbar_sim.reading.programmed import Programmed
from crossbar_sim.reading.readers.base import Converters, Reader, Reading, Singles
from crossbar_sim.runtime.counter_random import Key, torch_normal_pair


class TorchReader(Reader):
    """The same as the compiled readers, except for sums on the edge of two codes; noise draws to about 1e-5."""

    def __init__(self, programmed: Programmed, converters: Converters, key: Key) -> None:
        self._programmed = programmed
        self._converters = converters
        self._key = key

    def read(self, x: torch.Tensor, full_drive: float, ranges: Singles, first_read: int) -> Reading:
        programmed, converters = self._programmed, self._converters

        def here(array: Singles) -> torch.Tensor:
            return torch.as_tensor(array, device=x.device)

        current, full = here(programmed.current), here(ranges)
        codes, largest = drive_codes(x * here(programmed.input_scale), converters.dac_steps, full_drive)
        drives = codes / converters.dac_steps if converters.dac_steps else codes
        (row_tiles, column_tiles), outputs = programmed.grid, current.shape[1]
        of_tile = torch.arange(outputs, device=x.device) // programmed.tile_outputs
        total = torch.zeros(len(x), outputs, device=x.device)
        peaks = torch.zeros(row_tiles, column_tiles, device=x.device)
        clipped = torch.zeros(row_tiles, column_tiles, dtype=torch.long, device=x.device)
        for t in range(row_tiles):
            rows = slice(t * programmed.tile_inputs, (t + 1) * programmed.tile_inputs)
            sums = drives[:, rows] @ current[rows]
            if programmed.variance is not None:
                spread = (drives[:, rows].square() @ here(programmed.variance[rows])).sqrt()
                sums = sums + spread * self._normal_numbers(sums, t, first_read)
            for u in range(column_tiles):
                peaks[t, u] = sums[:, of_tile == u].abs().max() if len(x) else 0.0
            if converters.adc_steps:
                sums, over = self._convert(sums, full[t][of_tile], t)
                clipped[t].index_add_(0, of_tile, over.sum(dim=0))
            total += sums * here(programmed.tile_scale[t])[of_tile]
        drawn = _bits_set(codes) if converters.serial else drives.square()
        conduction = float((drawn.sum(dim=0) * here(programmed.line_conductance)).sum())
        output = total * largest * here(programmed.output_scale)
        return Reading(output, conduction, peaks.cpu().numpy(), clipped.cpu().numpy())

    def _convert(self, sums: torch.Tensor, full: torch.Tensor, row_tile: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Read currents of a row of tiles, and which were clipped; full (columns,): ampere at the largest code."""
        steps = self._converters.adc_steps
        if self._converters.circuit is not None:
            return self._converters.circuit(sums, full, row_tile)
        code = torch.round(sums * (steps / full))
        return code.clamp(-steps, steps) * (full / steps), code.abs() > steps

    def _normal_numbers(self, sums: torch.Tensor, row_tile: int, first_read: int) -> torch.Tensor:
        """One for each sum (vectors, outputs) of a row of tiles, by the counters that `tiles.read_tiles` uses."""
        count, outputs = sums.shape
        pairs = -(-outputs // PANEL) * PAIRS
        reads = torch.arange(first_read, first_read + count, device=sums.device)[:, None]
        counters = torch.arange(row_tile * pairs, (row_tile + 1) * pairs, device=sums.device).expand(count, -1)
        halves = torch_normal_pair(reads.expand(-1, pairs), counters, self._key)
        panels = [half.unflatten(1, (-1, PAIRS)) for half in halves]
        return torch.cat(panels, dim=2).flatten(1)[:, :outputs]


def drive_codes(scaled: torch.Tensor, steps: int, full_drive: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Signed DAC codes (vectors, lines) of x input_scale, whole numbers as float32 (steps = 0: fractions of full
    drive), and the input that drives a line fully (vectors, 1)."""
    if full_drive:
        largest = torch.full_like(scaled[:, :1], full_drive)
        scaled = scaled.clamp(-full_drive, full_drive)
    else:
        largest = scaled.abs().amax(dim=1, keepdim=True)
    fractions = torch.where(largest < float(SMALLEST), 0.0, scaled / largest)
    return torch.round(fractions * steps) if steps else fractions, largest


def _bits_set(codes: torch.Tensor) -> torch.Tensor:
    """Of the sizes of whole numbers of at most 15 bits, how many bits are set; NaN where one is."""
    sizes = codes.abs().nan_to_num().int()
    return sum((sizes >> bit & 1 for bit in range(15)), start=0.0 * codes)
