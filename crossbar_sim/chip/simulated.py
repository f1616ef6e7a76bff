"""SimulatedMatrix: one weight matrix on tiles; differentiable reads, writes of the cells that changed."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import torch

from crossbar_sim.cells.cells import Cells
from crossbar_sim.cells.outer_product import pulse_outer_product, update_scheme
from crossbar_sim.cells.pulse_trains import draw
from crossbar_sim.cells.written import Written
from crossbar_sim.chip.matrix import Matrix
from crossbar_sim.hardware.hardware import Hardware
from crossbar_sim.ledger.billing import MatrixBill
from crossbar_sim.ledger.ledger import Ledger
from crossbar_sim.ledger.read_costs import both_ways
from crossbar_sim.ledger.update_costs import count_update
from crossbar_sim.ledger.write_costs import billed_by_cell
from crossbar_sim.mapping.encoding import CellTargets, scales_of
from crossbar_sim.reading.direction import Scales
from crossbar_sim.reading.path import ReadPath
from crossbar_sim.reading.prepared import PreparedReads
from crossbar_sim.reading.registers import Registers
from crossbar_sim.runtime.counter_random import stream_key
from crossbar_sim.spec.arrays import Floats, Integers
from crossbar_sim.spec.errors import MappingError
from crossbar_sim.wear.levelling import Rows

LEAST_RESTING = 1 << 16
"""Cells that are worth being made again when somebody asks, rather than kept."""


class SimulatedMatrix(Matrix):
    """A matrix whose cells are simulated: it reads what they are, and `program()` writes those whose level differs.

    `cells` hold it, `targets` say which of them new weights change, `reads` what reads see of them, and `bill` what all
    of it costs. `scale` (outputs,) is the largest |w| each column can hold; None takes it from the weight. `worn` are
    cells that held another matrix before. With program=False the cells stay as they are, until a state is put back.
    """

    def __init__(
        self,
        hardware: Hardware,
        ledger: Ledger,
        seed: int,
        name: str,
        weight: torch.Tensor,
        scale: Floats | None = None,
        worn: Cells | None = None,
        *,
        program: bool = True,
    ) -> None:
        super().__init__(hardware, ledger, name, weight)
        inputs, tile_rows = self.layout.inputs, hardware.tile.rows
        self.rows = rows = Rows(hardware.wear_levelling, inputs, tile_rows, stream_key(seed, name, "wear levelling"))
        self.targets = CellTargets(hardware.device, self.layout, weight, scale, rows)
        self._check_scale(float(self.targets.scale.max()))
        fits = worn is not None and worn.shape == self.layout.shape
        self.cells = (
            worn
            if worn is not None and fits
            else Cells(
                hardware.device,
                self.layout.shape,
                stream_key(seed, name, "program"),
                (hardware.tile.rows, self.layout.spec.plane_columns),
            )
        )
        self.seed = seed
        self.bill = MatrixBill(hardware, ledger, name, both_ways(hardware, self.layout), self.tile_count)
        self.reads = self._reads()
        self._sense_energy = hardware.adc.energy
        self._listing = billed_by_cell(hardware)
        if program:
            self.program()
            if self.cells.version == 1 and self.may_rest:
                self.reads.prepare()
                self.cells.rest(self.targets.lend())

    @property
    def may_rest(self) -> bool:
        """Whether its cells, written once, are worth being made again rather than kept, and can be: all of them were
        written plane by plane, and reads need them no more once they are prepared."""
        tile = self.hardware.tile
        in_order = tile.pair_update != "one_side" and self.hardware.wear_levelling is None
        return self.cell_count >= LEAST_RESTING and in_order and not tile.wired

    def _reads(self) -> PreparedReads:
        """Of its cells at their present scale; nothing has been read yet."""
        reads = self.bill.reads
        return PreparedReads(
            self.name,
            self.hardware,
            self.layout,
            self.cells,
            self.targets.rows,
            Scales(self.targets.scale, self.targets.of_tile),
            (reads[False].counts.conversions, reads[True].counts.conversions),
            partial(stream_key, self.seed, self.name),
        )

    def rescale(self, scale: Floats, of_tile: Floats) -> None:
        """From now on each column can hold so much (outputs,), and each tile that share of it (row tiles, column
        tiles): the same conductances stand for other weights. Reads go on counting; calibrated ranges are taken anew.
        """
        self._check_scale(float(scale.max()))
        before = self.read_state()
        self.targets.rescale(scale, of_tile)
        self.reads = self._reads()
        for path, old in zip(self.reads.paths, before, strict=True):
            path.registers = replace(old, ranges=path.registers.ranges, full_drive=None)

    def _check_scale(self, largest: float) -> None:
        """MappingError for weights whose products with what a read senses float32 could not hold."""
        device = self.hardware.device
        of_one = min(1.0, device.read_voltage * device.window * self.layout.full_scale)
        most = 0.5 * of_one * float(np.finfo(np.float32).max)
        if largest > most:
            raise MappingError(
                f"{self.name}: weights of up to {largest:.3g} are beyond what its reads can be scaled by in float32, "
                f"{most:.3g}; rescale the weights"
            )

    @property
    def largest_weight(self) -> torch.Tensor:
        """The weight (outputs, inputs) at the end of each cell's window; (outputs, 1) where all inputs share it."""
        return torch.from_numpy(self.targets.largest).to(self.master)

    def weight(self) -> torch.Tensor:
        """The weights (outputs, inputs) that the present conductances stand for."""
        return self._weight_of(self.cells.awake())

    def _weight_of(self, cells: Cells) -> torch.Tensor:
        return self.targets.weight(cells.present).to(self.master)

    def program(self) -> Written:
        """Write the cells whose target level differs from what they were last programmed to; returns what the write of
        the weights did (wear levelling, which may follow, is billed and counted but not returned)."""
        master = self.master.detach()
        weight = master.cpu()
        if not self.targets.clamp(weight):
            raise MappingError(
                f"{self.name}: its weights must be finite, got NaN or infinity; check the model's weights"
            )
        if weight is not master:
            master.copy_(weight)
        written = self._write(*self.targets.changes(weight))
        if written.count and self.hardware.wear_levelling is not None:
            moved = self.targets.moves(self.cells.writes.astype(np.int64))
            if moved is not None:
                self._write(*moved)
        return written

    def _write(self, cells: Integers, goals: Floats) -> Written:
        written = self.cells.program(cells, goals, self._sense_energy, listing=self._listing)
        if written.count:
            self.bill.write(written, self.cells.present)
        return written

    def check_loadable(self, weight: torch.Tensor) -> None:
        """MappingError for a weight that `load` refuses."""
        if weight.shape != self.master.shape or weight.is_complex():
            raise MappingError(
                f"{self.name}: its weights are real numbers {tuple(self.master.shape)}, got {weight.dtype} "
                f"{tuple(weight.shape)} to load"
            )
        if not bool(weight.isfinite().all()):
            raise MappingError(f"{self.name}: its weights must be finite, got NaN or infinity to load")
        self._check_scale(float(weight.detach().double().abs().max()))

    @torch.no_grad()
    def load(self, weight: torch.Tensor) -> None:
        """Program another weight (outputs, inputs), billed to the open phase, or to 'deploy' where that is 'infer'.

        Columns that cannot hold it get a larger scale; nothing is written where the master has these values already.
        """
        self.check_loadable(weight)
        new = weight.detach().to(self.master)
        if torch.equal(new, self.master):
            return
        if bool((new.abs() > self.largest_weight).any()):
            scale, of_tile = scales_of(new, self.layout)
            self.rescale(np.maximum(scale, self.targets.scale) if (of_tile == 1.0).all() else scale, of_tile)
        ledger = self.ledger
        self.master.copy_(new)
        with ledger.phase("deploy" if ledger.current_phase == "infer" else ledger.current_phase):
            self.program()

    def _load_from_state_dict(
        self,
        state_dict: dict[str, Any],
        prefix: str,
        local_metadata: Any,
        strict: bool,
        missing_keys: list[str],
        unexpected_keys: list[str],
        error_msgs: list[str],
    ) -> None:
        """The cells are programmed with the master that is loaded; it stays the tensor that it is."""
        key = f"{prefix}master"
        if key in state_dict:
            self.load(state_dict[key])
            state_dict = {**state_dict, key: self.master}
        super()._load_from_state_dict(
            state_dict, prefix, local_metadata, strict, missing_keys, unexpected_keys, error_msgs
        )

    @torch.no_grad()
    def pulse(self, pulses: Integers) -> Written:
        """Blind pulses, |pulses| per weight (outputs, inputs): positive ones raise it, negative ones lower it.

        The master then follows the cells. The next `program()` writes the pulsed cells again, wherever they stand.
        """
        if not self.hardware.tile.scheme.one_sided or self.hardware.tile.slices > 1:
            raise MappingError(
                f"{self.name}: blind pulses need one-sided pairs; set tile.mapping = 'differential' without slices, or "
                "use the update rule write_verify"
            )
        cells, counts = self.targets.pulsed(pulses, self.cells.present)
        written = self.cells.pulse(cells, counts, listing=self._listing)
        self.targets.forget(cells)
        if written.count:
            self.bill.write(written, self.cells.present)
        self.master.copy_(self._weight_of(self.cells))
        return written

    @torch.no_grad()
    def update(self, x: torch.Tensor, error: torch.Tensor, learning_rate: float, bits: int = 31) -> Written:
        """W <- W - learning_rate error^T x by stochastic pulse trains on all rows and columns at once.

        x (samples, inputs), error (samples, outputs) dL/dy, learning_rate in weight per (x error); trains of at most
        `bits` slots. The mean is that of the digital step as far as every pulse moves a weight by the device's mean
        pulse and no cell needs more than `bits` of one sample (`cells.pulse_trains`). The master then follows the
        cells. Raises MappingError where the mapping, and SpecError where the device or the bill, has no such update.
        """
        outputs, inputs = self.master.shape
        if x.shape != (len(x), inputs) or error.shape != (len(x), outputs):
            raise MappingError(
                f"{self.name}: an update takes x (samples, {inputs}) and error (samples, {outputs}), got "
                f"{tuple(x.shape)} and {tuple(error.shape)}"
            )
        if not (bool(x.isfinite().all()) and bool(error.isfinite().all())):
            raise MappingError(f"{self.name}: NaN or infinity in an update; lower the learning rate or check the data")
        if not learning_rate > 0:
            raise MappingError(f"{self.name}: the learning rate of an update must be positive, got {learning_rate:g}")
        scheme = update_scheme(self.hardware)
        signal, share = (tensor.detach().double().cpu().numpy() for tensor in (x, error))
        trains = draw(
            signal,
            share / self.targets.limit[:, None],
            learning_rate / scheme.share,
            bits,
            self.cells.key,
            self.cells.samples,
        )
        written = pulse_outer_product(
            self.cells,
            trains,
            scheme.cells,
            self.targets.rows.row_of,
            self.layout.column_of,
            self.layout.spec.rows,
            self.layout.spec.plane_columns,
        )
        self.targets.forget(written.cells if written.touched is None else written.touched)
        self.bill.write(written, self.cells.present, count_update(self.hardware, written, trains, self.layout))
        if written.count:
            self.master.copy_(self._weight_of(self.cells))
        return written

    def wait(self, seconds: float) -> None:
        """Let the cells age by `seconds`; reads from now on see them as they are then."""
        self.cells.wait(seconds)

    def read(self, x: torch.Tensor, transposed: bool = False) -> torch.Tensor:
        """One analog read per vector of x: (vectors, inputs) -> (vectors, outputs), or the reverse."""
        result = self.reads.paths[transposed].read(x.float(), tracking=self.training or transposed)
        self.bill.read(transposed, result.conduction, x.shape[0])
        return result.output

    def gradient_to_input(self, gradient: torch.Tensor) -> torch.Tensor:
        """(vectors, outputs) -> (vectors, inputs) by the hardware's `backward` rule. The exact rules are
        billed as reads at full drive."""
        if self.hardware.backward == "analog":
            return self.read(gradient, transposed=True)
        if not bool(gradient.isfinite().all()):
            raise MappingError(f"{self.name}: NaN or infinity in its output gradient; lower the learning rate")
        full_drive = len(gradient) * float(self.path(True).programmed.line_conductance.sum())
        self.bill.read(True, full_drive, len(gradient))
        weight = self._weight_of(self.cells) if self.hardware.backward == "noise_free" else self.master
        # in numpy, so that torch's operation counter does not take a read of the tiles for digital arithmetic
        product = gradient.detach().cpu().numpy() @ weight.detach().cpu().numpy()
        return torch.from_numpy(product).to(gradient)

    def path(self, transposed: bool = False) -> ReadPath:
        """Its forward or transposed reads."""
        return self.reads.paths[transposed]

    def registers(self, transposed: bool = False) -> Registers:
        """Counters and range registers of one read direction."""
        return self.reads.paths[transposed].registers

    def read_state(self) -> list[Registers]:
        """What reads change: counters and range registers."""
        return [path.state() for path in self.reads.paths]

    def restore_reads(self, state: list[Registers]) -> None:
        """Back to an earlier `read_state()`."""
        for path, one in zip(self.reads.paths, state, strict=True):
            path.restore(one)

    def clipped_share(self, transposed: bool = False) -> float:
        """Share of all ADC conversions so far that hit the range."""
        registers = self.registers(transposed)
        return registers.clipped / registers.conversions if registers.conversions else 0.0


def simulated(matrix: Matrix, reason: str = " and has no cells; use Chip to simulate") -> SimulatedMatrix:
    """The matrix, if its cells are simulated; else MappingError with the reason why they are needed."""
    if not isinstance(matrix, SimulatedMatrix):
        raise MappingError(f"{matrix.name} is only counted{reason}")
    return matrix
