"""Chip: the state of one simulated chip, its matrices on tiles and its ledger."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from crossbar_sim.cells.cells import Cells, check_wait
from crossbar_sim.chip.energy_by_tile import energy_by_tile
from crossbar_sim.chip.interface import AnyChip, TiledChip
from crossbar_sim.chip.mapped import MappedState
from crossbar_sim.chip.matrix import Matrix
from crossbar_sim.chip.saving import (
    Tensors,
    cells_facts,
    matrix_facts,
    part_of,
    read_chip,
    restore_cells,
    restored_matrix,
    with_prefix,
    write_chip,
)
from crossbar_sim.chip.simulated import SimulatedMatrix
from crossbar_sim.chip.write_mark import WriteMark, noted, since
from crossbar_sim.devices import DeviceModel
from crossbar_sim.hardware.hardware import Hardware
from crossbar_sim.ledger.ledger import Ledger
from crossbar_sim.runtime.counter_random import stream_key
from crossbar_sim.spec.errors import MappingError
from crossbar_sim.spec.seeds import check_seed

ASpec = TypeVar("ASpec", Hardware, DeviceModel)


LAYERS = "crossbar_sim.layers"
"""Where the way from an unmapped model to the tiles of a chip is."""
UNREADABLE = (AttributeError, IndexError, KeyError, MemoryError, OverflowError, RuntimeError, TypeError, ValueError)
"""What facts of another kind than those of a saved chip end in."""


class Chip(TiledChip):
    """Everything that changes while a chip runs; `Hardware` is what never does."""

    def __init__(self, hardware: Hardware, seed: int = 0) -> None:
        check_seed(seed, MappingError)
        self.hardware = hardware
        self.seed = seed
        self.ledger = Ledger()
        self.digital = hardware.digital
        self.matrices: dict[str, SimulatedMatrix] = {}
        self.skipped = []
        self.mapped = []
        self._released: dict[str, Cells] = {}

    def matrix(
        self,
        name: str,
        weight: torch.Tensor,
        scale: NDArray[np.float64] | None = None,
        hardware: Hardware | None = None,
    ) -> SimulatedMatrix:
        self.check_new(name)
        hardware = self.hardware if hardware is None else hardware
        worn = self._released.get(name)
        if worn is not None and worn.device != hardware.device:
            worn = None
        matrix = SimulatedMatrix(hardware, self.ledger, self.seed, name, weight, scale, worn)
        self._released.pop(name, None)
        self.matrices[name] = matrix
        matrix.chip = self
        return matrix

    def release(self, name: str) -> None:
        """Give the tiles of a matrix back; a later matrix of that name and shape gets the same, worn cells."""
        self._released[name] = self.matrices.pop(name).cells

    def wait(self, seconds: float) -> None:
        """Let time pass on the chip: every cell ages by `seconds`, those of released tiles too.

        Raises SpecError for a time that is negative or not finite, also of a chip without cells.
        """
        check_wait(seconds)
        for matrix in self.matrices.values():
            matrix.wait(seconds)
        for cells in self._released.values():
            cells.wait(seconds)

    @contextmanager
    def probing(self) -> Iterator[None]:
        with self.ledger.paused(), unrecorded(self.matrices.values()):
            yield

    @contextmanager
    def all_or_nothing(self) -> Iterator[None]:
        matrices, skipped = dict(self.matrices), list(self.skipped)
        released = dict(self._released)
        undo_wear = [as_now(cells) for cells in released.values()]
        try:
            with self.ledger.all_or_nothing():
                yield
        except BaseException:
            self.matrices, self.skipped = matrices, skipped
            self._released = released
            for undo in undo_wear:
                undo()
            raise

    def writes(self) -> NDArray[np.int64]:
        """Program operations of every cell on the chip since it was made (flat)."""
        none = np.empty(0, np.int64)
        return np.concatenate([none, *(matrix.cells.writes_so_far.reshape(-1) for matrix in self.matrices.values())])

    def mark_writes(self) -> WriteMark:
        """How often each cell has been written so far, those of released tiles too."""
        every = (*(matrix.cells for matrix in self.matrices.values()), *self._released.values())
        return WriteMark({cells: noted(cells.writes_so_far) for cells in every})

    def writes_since(self, mark: WriteMark, besides: Collection[str] = ()) -> dict[str, NDArray[np.int64]]:
        """By matrix, the program operations of each cell (planes, rows, columns) since `mark` was made.

        besides: matrices whose writes do not count; their cells have zeros. The arrays are for reading only.
        """
        none = np.zeros((), np.int64)
        return {
            name: np.broadcast_to(none, matrix.cells.shape)
            if name in besides
            else since(matrix.cells.writes_so_far, mark.writes.get(matrix.cells, none))
            for name, matrix in self.matrices.items()
        }

    def save(self, folder: str | Path) -> None:
        """Write all that decides what the chip does next: cells, wear, counters, registers, ages, ledger, and of the
        model that is mapped onto it the digital numbers.

        The folder gets `chip.json` and a safetensors file and always holds a whole chip, this one or the one before.
        Raises MappingError if it cannot be written, or if layers of several models are on the chip.
        """
        if len(self.mapped) > 1:
            raise MappingError(f"layers of {len(self.mapped)} models are on the chip; unmap() all but one to save it")
        designs, devices = list[Hardware](), list[DeviceModel]()
        matrices, released = list[Any](), list[Any]()
        tensors: Tensors = {}
        for index, matrix in enumerate(self.matrices.values()):
            facts, own = matrix_facts(matrix)
            matrices.append({"hardware": _place(matrix.hardware, designs), **facts})
            tensors |= with_prefix(f"matrix.{index}.", own)
        for index, (name, cells) in enumerate(self._released.items()):
            facts, own = cells_facts(cells)
            released.append({"name": name, "device": _place(cells.device, devices), **facts})
            tensors |= with_prefix(f"released.{index}.", own)
        model = None
        for mapped in self.mapped:
            state = mapped.state()
            model = {"layers": state.layers, "training": state.training, "numbers": list(state.digital)}
            tensors |= with_prefix("model.", state.digital)
        facts = {
            "seed": self.seed,
            "hardware": _place(self.hardware, designs),
            "designs": [one.to_toml() for one in designs],
            "devices": [one.to_toml() for one in devices],
            "digests": [one.digest() for one in (*designs, *devices)],
            "skipped": [list(one) for one in self.skipped],
            "ledger": self.ledger.content(),
            "matrices": matrices,
            "released": released,
            "model": model,
        }
        write_chip(Path(folder), facts, tensors)

    @classmethod
    def load(cls, folder: str | Path, model: nn.Module | None = None) -> Chip:
        """The chip that `save` wrote to a folder: all that it does from now on is what the saved one did.

        model: unmapped, of the architecture that was mapped; its layers are put on the tiles and its digital numbers
        become the saved ones. Nothing is programmed or billed. Raises MappingError, and leaves the model as it was, if
        the files are damaged, of another format, or of another model.
        """
        folder = Path(folder)
        facts, tensors = read_chip(folder)
        try:
            chip, state = cls._of(facts, tensors)
        except UNREADABLE as error:
            reason = f"{type(error).__name__}: {error}"[:200]
            raise MappingError(f"{folder}: not the facts of a chip ({reason}); save the chip again") from error
        if (state is None) != (model is None):
            needed = "no model was mapped onto the saved chip" if state is None else "a model was mapped onto this chip"
            raise MappingError(f"{folder}: {needed}; {'leave it out' if state is None else 'give one like it'}")
        if model is not None and state is not None:
            # the layers are a room above this one: looked up only here, where a model is given
            import_module(LAYERS).put_back(model, chip, state)
        return chip

    @classmethod
    def _of(cls, facts: Mapping[str, Any], tensors: Tensors) -> tuple[Chip, MappedState | None]:
        designs = [Hardware.from_document(tomllib.loads(one), "saved hardware") for one in facts["designs"]]
        devices = [DeviceModel.from_document(tomllib.loads(one), "saved device") for one in facts["devices"]]
        if [one.digest() for one in (*designs, *devices)] != facts["digests"]:
            raise MappingError("the saved hardware reads otherwise in this version; save the chip again")
        chip = cls(designs[facts["hardware"]], facts["seed"])
        chip.ledger = Ledger.from_content(facts["ledger"], "saved ledger")
        chip.skipped.extend((str(name), str(reason)) for name, reason in facts["skipped"])
        for index, one in enumerate(facts["matrices"]):
            own = part_of(tensors, f"matrix.{index}.")
            matrix = restored_matrix(designs[one["hardware"]], chip.ledger, chip.seed, one, own)
            chip.check_new(matrix.name)
            chip.matrices[matrix.name] = matrix
            matrix.chip = chip
        for index, one in enumerate(facts["released"]):
            own, name = part_of(tensors, f"released.{index}."), str(one["name"])
            rows, columns = one["array"]
            key, shape = stream_key(chip.seed, name, "program"), tuple(own["cells.conductance"].shape)
            cells = Cells(devices[one["device"]], shape, key, (int(rows), int(columns)))
            restore_cells(cells, name, one, own)
            chip._released[name] = cells
        model = facts["model"]
        if model is None:
            return chip, None
        digital = {str(name): tensors[f"model.{name}"] for name in model["numbers"]}
        layers = {str(name): str(kind) for name, kind in model["layers"].items()}
        return chip, MappedState(layers, digital, bool(model["training"]))

    def energy_by_tile(self, phase: str | None = None) -> dict[str, float]:
        """Joule per tile, and per place for what is on no tile; as in `energy_by_tile.energy_by_tile`."""
        return energy_by_tile(self, phase)


def _place(one: ASpec, among: list[ASpec]) -> int:
    """Where a spec is in the list, at whose end it is put if it is not there."""
    if one not in among:
        among.append(one)
    return among.index(one)


def as_now(cells: Cells) -> Callable[[], None]:
    """What puts cells back to what they are now, in the arrays that they have now."""
    fields = {name: dict(value) if isinstance(value, dict) else value for name, value in vars(cells).items()}
    arrays = {name: value.copy() for name, value in fields.items() if isinstance(value, np.ndarray)}

    def undo() -> None:
        vars(cells).clear()
        vars(cells).update(fields)
        for name, value in arrays.items():
            fields[name][...] = value

    return undo


def simulated_chip(chip: AnyChip) -> Chip:
    """The chip, if its cells are simulated; MappingError else."""
    if not isinstance(chip, Chip):
        raise MappingError(f"a {type(chip).__name__} has no cells; simulate to know how often each was written")
    return chip


@contextmanager
def unrecorded(matrices: Iterable[Matrix]) -> Iterator[None]:
    """Reads inside leave no trace in the counters and range registers of these matrices; they are billed."""
    states = [(matrix, matrix.read_state()) for matrix in matrices if isinstance(matrix, SimulatedMatrix)]
    try:
        yield
    finally:
        for matrix, state in states:
            matrix.restore_reads(state)
