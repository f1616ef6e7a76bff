"""MappedMatrix: one weight matrix on tiles; differentiable reads, writes of the cells that changed."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from crossbar_sim.billing import bill_programming, bill_read
from crossbar_sim.counter_random import stream_key
from crossbar_sim.crossbar import Crossbar, Programming
from crossbar_sim.errors import MappingError
from crossbar_sim.hardware import Hardware
from crossbar_sim.ledger import Ledger
from crossbar_sim.mapping import CELLS_PER_WEIGHT, Tile, column_scale, cut, retarget, to_weight
from crossbar_sim.mapping_kernels import prepare_reads
from crossbar_sim.mvm import Programmed
from crossbar_sim.read_path import ReadPath
from crossbar_sim.tile_wires import SeenCells


class MappedMatrix(nn.Module):
    """y = x W^T through tiles. W (outputs, inputs) is the float master copy; the cells hold its levels.

    `scale` (outputs,) is the largest |w| each column can hold; None takes it from the weight. `worn` are
    cells that held another matrix before.
    Gradients reach x through the transposed tiles and `master` as the digital outer product of the
    output gradient and the input. `program()` writes the cells whose target level differs.
    `task_writes` counts, per cell, the writes of the 'adapt' phases.
    """

    def __init__(
        self, hardware: Hardware, ledger: Ledger, seed: int, name: str, weight: torch.Tensor,
        scale: NDArray[np.float64] | None = None,
        worn: Crossbar | None = None,
    ) -> None:  # fmt: skip
        super().__init__()
        if weight.ndim != 2 or 0 in weight.shape:
            raise MappingError(f"{name}: only non-empty matrices go on tiles, got shape {tuple(weight.shape)}")
        self.hardware, self.ledger, self.name = hardware, ledger, name
        self.master = nn.Parameter(weight.detach().clone().float(), requires_grad=False)
        outputs, inputs = weight.shape
        self.tiles: tuple[Tile, ...] = cut(name, inputs, outputs, hardware.tile)
        if scale is None:
            scale = column_scale(weight.detach().cpu().double().numpy().T, hardware.tile.scale)
        self.scale = np.ascontiguousarray(scale, np.float64)
        shape = (CELLS_PER_WEIGHT, inputs, outputs)
        fits = worn is not None and worn.conductance.shape == shape
        self.crossbar = (
            worn if worn is not None and fits else Crossbar(hardware.device, shape, stream_key(seed, name, "program"))
        )
        self.target = np.full(shape, np.nan)
        self.task_writes = np.zeros(self.crossbar.writes.shape, np.int64)
        self._seen = SeenCells(hardware.tile, self.tiles, self.crossbar.conductance)
        self._paths = self._read_paths(seed)
        self.program()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """x (..., inputs) -> (..., outputs)."""
        product: torch.Tensor = _AnalogProduct.apply(x, self.master, self)
        return product

    def weight(self) -> torch.Tensor:
        """The weights (outputs, inputs) that the achieved conductances stand for."""
        achieved = to_weight(self.crossbar.conductance, self.scale, self.hardware.device)
        return torch.from_numpy(np.ascontiguousarray(achieved.T)).to(self.master)

    @torch.no_grad()
    def program(self) -> Programming:
        """Write the cells whose target level differs from what they were last programmed to."""
        limit = torch.from_numpy(self.scale).to(self.master)[:, None]
        self.master.clamp_(-limit, limit)
        cells, goals = retarget(self.master.detach().cpu().numpy(), self.scale, self.hardware.device, self.target)
        result = self.crossbar.program(cells, goals, self.hardware.adc.energy)
        if result.count:
            if self.ledger.current_phase.startswith("adapt"):
                self.task_writes.reshape(-1)[result.cells] += 1
            bill_programming(self.hardware, self.ledger, self.name, result, self.crossbar.conductance.shape)
            self._seen.update(result.cells)
            self._prepare_reads()
        return result

    def _read_paths(self, seed: int) -> dict[bool, ReadPath]:
        """Forward (False) and transposed (True) reads of the same cells."""
        device, tile, name = self.hardware.device, self.hardware.tile, self.name
        outputs, inputs = self.master.shape
        full_drive, noisy = device.read_voltage * device.window, device.read_noise is not None
        forward = Programmed.empty(inputs, outputs, tile.rows, tile.outputs, noisy)
        forward.input_scale[:], forward.output_scale[:] = 1.0, self.scale / full_drive
        back = Programmed.empty(outputs, inputs, tile.outputs, tile.rows, noisy)
        back.input_scale[:], back.output_scale[:] = self.scale, 1.0 / full_drive
        return {
            False: ReadPath(self.hardware, forward, 1, stream_key(seed, name, "forward")),
            True: ReadPath(self.hardware, back, CELLS_PER_WEIGHT, stream_key(seed, name, "backward")),
        }

    def _prepare_reads(self) -> None:
        device, forward, back = self.hardware.device, self._paths[False].programmed, self._paths[True].programmed
        law = device.read_noise
        coefficients, g_scale, sigma_scale = ((), 1.0, 1.0) if law is None else law.numbers
        prepare_reads(
            self.crossbar.conductance, self._seen.forward, self._seen.back, self.hardware.tile.wired,
            device.read_voltage, np.array(coefficients, np.float64), g_scale, sigma_scale,
            forward.current, forward.current if forward.variance is None else forward.variance,
            back.current, back.current if back.variance is None else back.variance,
            forward.line_conductance, back.line_conductance,
        )  # fmt: skip
        exact = device.levels is not None and device.programs_exactly and not self.hardware.tile.wired
        level = device.read_voltage * device.window / (device.levels - 1) if device.levels and exact else None
        forward.settle(level)
        back.settle(level)

    def read(self, x: torch.Tensor, transposed: bool = False) -> torch.Tensor:
        """One analog read per vector of x: (vectors, inputs) -> (vectors, outputs), or the reverse."""
        result = self._paths[transposed].read(x.float(), tracking=self.training or transposed)
        if not np.isfinite(result.conduction):
            side = "output gradient" if transposed else "input"
            raise MappingError(f"{self.name}: NaN or infinity in its {side}; lower the learning rate or check the data")
        bill_read(
            self.ledger, self.name, self.hardware.device, self._paths[transposed].costs, result.conduction, len(x)
        )
        return result.output

    def gradient_to_input(self, gradient: torch.Tensor) -> torch.Tensor:
        """(vectors, outputs) -> (vectors, inputs) by the hardware's `backward` rule. The exact rules are
        billed as reads at full drive."""
        if self.hardware.backward == "analog":
            return self.read(gradient, transposed=True)
        full_drive = len(gradient) * float(self._paths[True].programmed.line_conductance.sum())
        self._bill(full_drive, len(gradient), True)
        weight = self.weight() if self.hardware.backward == "noise_free" else self.master
        # in numpy, so that torch's operation counter does not take a read of the tiles for digital arithmetic
        product = gradient.detach().cpu().numpy() @ weight.detach().cpu().numpy()
        return torch.from_numpy(product).to(gradient)

    def _bill(self, conduction: float, vectors: int, transposed: bool) -> None:
        bill_read(self.ledger, self.name, self.hardware.device, self._paths[transposed].costs, conduction, vectors)

    def read_state(self) -> list[Any]:
        """What reads change: counters and range registers."""
        return [path.state() for path in self._paths.values()]

    def restore_reads(self, state: list[Any]) -> None:
        """Back to an earlier `read_state()`."""
        for path, one in zip(self._paths.values(), state, strict=True):
            path.restore(one)

    def clipped_share(self, transposed: bool = False) -> float:
        """Share of all ADC conversions so far that hit the range."""
        path = self._paths[transposed]
        return path.clipped / path.conversions if path.conversions else 0.0

    def extra_repr(self) -> str:
        outputs, inputs = self.master.shape
        return f"{self.name}: {inputs} inputs, {outputs} outputs, {len(self.tiles)} tiles"


class _AnalogProduct(torch.autograd.Function):
    """Forward: one analog read. Backward: a transposed read for the input, an outer product for the master."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, master: torch.Tensor, matrix: MappedMatrix) -> torch.Tensor:
        flat = x.reshape(-1, x.shape[-1])
        ctx.matrix, ctx.shape = matrix, x.shape
        ctx.save_for_backward(flat if ctx.needs_input_grad[1] else None)
        return matrix.read(flat).reshape(*x.shape[:-1], master.shape[0])

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor | None, torch.Tensor | None, None]:
        flat = gradient.reshape(-1, gradient.shape[-1])
        to_input = ctx.matrix.gradient_to_input(flat).reshape(ctx.shape) if ctx.needs_input_grad[0] else None
        (x,) = ctx.saved_tensors
        return to_input, None if x is None else flat.T @ x, None
