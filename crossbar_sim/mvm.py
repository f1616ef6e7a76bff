"""The analog matrix-vector product of one matrix on tiles: numba on the CPU, its torch twin anywhere."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from crossbar_sim import mvm_kernels
from crossbar_sim.counter_random import Key, torch_normal_pair

Singles = NDArray[np.float32]


@dataclass(frozen=True)
class Programmed:
    """What reads of one direction need, computed once when cells are programmed.

    current: (inputs, outputs) ampere of each differential pair at full drive; variance: its read-noise
    variance, ampere^2, or None; tile_inputs, tile_outputs: how many inputs and outputs share one tile.
    """

    current: Singles
    variance: Singles | None
    tile_inputs: int
    tile_outputs: int

    @property
    def grid(self) -> tuple[int, int]:
        """Tiles along inputs and outputs."""
        inputs, outputs = self.current.shape
        return -(-inputs // self.tile_inputs), -(-outputs // self.tile_outputs)


@dataclass(frozen=True)
class Conversion:
    """Converter settings of one read: largest DAC and ADC codes (0 = exact) and the ADC ranges (grid) in ampere."""

    dac_steps: int
    adc_steps: int
    ranges: Singles


@dataclass(frozen=True)
class Reading:
    """Result of one read: currents (vectors, outputs) ampere at full drive and input scales (vectors,), both
    torch; squared drive per input (inputs,), largest |current| and clipped conversions per tile (grid)."""

    current: torch.Tensor
    scale: torch.Tensor
    squared_drive: Singles
    peaks: Singles
    clipped: NDArray[np.int64]


def read(x: torch.Tensor, programmed: Programmed, conversion: Conversion, key: Key, first_read: int) -> Reading:
    """I = sum over row tiles of ADC(V G + noise): numba on the CPU, torch operations on any other device.

    x (vectors, inputs) float32; the vectors are reads number first_read, first_read + 1, ...
    """
    chosen = read_numba if x.device.type == "cpu" else read_torch
    return chosen(x, programmed, conversion, key, first_read)


def read_numba(
    x: torch.Tensor, programmed: Programmed, conversion: Conversion, key: Key, first_read: int
) -> Reading:
    """`read` by the compiled kernels; bit-identical for any number of threads."""
    vectors, inputs = x.shape
    outputs = programmed.current.shape[1]
    codes, scale = np.empty((vectors, inputs), np.float32), np.empty(vectors, np.float32)
    mvm_kernels.drive(x.detach().contiguous().numpy(), conversion.dac_steps, codes, scale)
    blocks = -(-vectors // mvm_kernels.BLOCK)
    output = np.empty((vectors, outputs), np.float32)
    peaks = np.zeros((blocks, *programmed.grid), np.float32)
    clipped = np.zeros((blocks, *programmed.grid), np.int64)
    noisy = programmed.variance is not None
    mvm_kernels.analog_product(
        codes, programmed.current, programmed.variance if noisy else programmed.current[:0],
        programmed.tile_inputs, programmed.tile_outputs, noisy, conversion.adc_steps, conversion.ranges,
        key, first_read, output, peaks, clipped,
    )  # fmt: skip
    squared = np.einsum("bk,bk->k", codes, codes)
    return Reading(
        torch.from_numpy(output), torch.from_numpy(scale), squared, peaks.max(axis=0, initial=0.0), clipped.sum(axis=0)
    )


def read_torch(
    x: torch.Tensor, programmed: Programmed, conversion: Conversion, key: Key, first_read: int
) -> Reading:
    """`read` in torch operations, on the device of `x`; the same noise draws to about 1e-5."""
    current = torch.as_tensor(programmed.current, device=x.device)
    ranges = torch.as_tensor(conversion.ranges, device=x.device)
    scale = x.abs().amax(dim=1)
    codes = x / torch.where(scale > 0, scale, 1.0)[:, None]
    if conversion.dac_steps:
        codes = torch.round(codes * conversion.dac_steps) / conversion.dac_steps
    (row_tiles, column_tiles), outputs = programmed.grid, current.shape[1]
    of_tile = torch.arange(outputs, device=x.device) // programmed.tile_outputs
    pairs = (outputs + 1) // 2
    result = torch.zeros(len(x), outputs, device=x.device)
    peaks = torch.zeros(row_tiles, column_tiles, device=x.device)
    clipped = torch.zeros(row_tiles, column_tiles, dtype=torch.long, device=x.device)
    for t in range(row_tiles):
        rows = slice(t * programmed.tile_inputs, (t + 1) * programmed.tile_inputs)
        sums = codes[:, rows] @ current[rows]
        if programmed.variance is not None:
            variance = torch.as_tensor(programmed.variance[rows], device=x.device)
            reads = torch.arange(first_read, first_read + len(x), device=x.device)[:, None]
            columns = torch.arange(t * pairs, (t + 1) * pairs, device=x.device)[None]
            z = torch.stack(torch_normal_pair(*torch.broadcast_tensors(reads, columns), key), dim=-1)
            sums = sums + (codes[:, rows].square() @ variance).sqrt() * z.flatten(1)[:, :outputs]
        for u in range(column_tiles):
            peaks[t, u] = sums[:, of_tile == u].abs().max() if len(x) else 0.0
        if conversion.adc_steps:
            full = ranges[t][of_tile]
            code = torch.round(sums * (conversion.adc_steps / full))
            over = (code.abs() > conversion.adc_steps).sum(dim=0)
            clipped[t].index_add_(0, of_tile, over)
            sums = code.clamp(-conversion.adc_steps, conversion.adc_steps) * (full / conversion.adc_steps)
        result += sums
    squared = codes.square().sum(dim=0)
    return Reading(result, scale, squared.cpu().numpy(), peaks.cpu().numpy(), clipped.cpu().numpy())
