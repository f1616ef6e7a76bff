"""Method: a fine-tuning method as a spec. Adapter: the method attached to one model (and one chip)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Protocol, Self, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field, SerializerFunctionWrapHandler, model_serializer, model_validator
from torch import nn

from crossbar_sim import SpecError
from crossbar_sim.chip.chip import simulated_chip
from crossbar_sim.chip.interface import AnyChip, TiledChip
from crossbar_sim.chip.matrix import Matrix
from crossbar_sim.layers.fast_path import close_fast_paths, open_fast_paths
from crossbar_sim.layers.hung_on import computed_weight, has_hooks
from crossbar_sim.layers.in_use import leave, use, user_of
from crossbar_sim.spec.spec import Spec
from peft_methods.adapted_layer import AdaptedLayer
from peft_methods.attaching import attach_with
from peft_methods.errors import MethodError
from peft_methods.model_parts import READ_BY_OWNER, difference, head_of
from peft_methods.model_state import ModelState
from peft_methods.phases import UPDATE
from peft_methods.placement import PlacedMatrix, Placement, place
from peft_methods.tuning import Range, Ranges
from peft_methods.updates import AnyRule
from peft_methods.updates.base import Writer
from peft_methods.updates.write_verify import WriteVerify

MOST_STEPS = 10_000_000
"""Of a training, and samples of one step."""
MOST_RANK = 16_384
"""Of matrices that a method adds and whose rank no layer limits."""
METHODS: dict[str, type[Method]] = {}
"""Every method by its name; a method enters when its class is made."""
AnyAdapter = TypeVar("AnyAdapter", bound="Adapter", covariant=True)


class Maker(Protocol[AnyAdapter]):
    """A method that makes adapters of its own class."""

    def make_adapter(self, model: nn.Module, chip: AnyChip, seed: int) -> AnyAdapter:
        """As `Method.make_adapter`."""


class Method(Spec, ABC):
    """What a method attaches, what it trains, where each trained tensor lives, and how it is trained.

    `train_head` trains the digital classification head too, with the same learning rate. `update_rule` says how
    the updates of trained tensors on tiles reach their cells.

    Class attributes. name: in files and on the command line; a class that states one is registered in METHODS. label:
    in tables and figures. papers: citation keys. writes_cells, transposed_reads, extra_reads: the hardware
    consequences, which the tests compare with the simulator's counters. needs_values: it computes with the float copies
    of what it trains on tiles. searched: what a tuning may search; searched_on_tiles: further settings, where something
    is trained on tiles.
    """

    name: ClassVar[str]
    label: ClassVar[str]
    papers: ClassVar[tuple[str, ...]] = ()
    writes_cells: ClassVar[bool]
    transposed_reads: ClassVar[bool]
    extra_reads: ClassVar[str]
    needs_values: ClassVar[bool] = False
    searched: ClassVar[Ranges] = {"learning_rate": Range(1e-4, 1e-1)}
    searched_on_tiles: ClassVar[Ranges] = {}

    learning_rate: Annotated[float, Field(gt=0)]
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    steps: Annotated[int, Field(ge=1, le=MOST_STEPS)] = 75
    batch_size: Annotated[int, Field(ge=1, le=MOST_STEPS)] = 10
    train_head: bool = False
    update_rule: AnyRule = WriteVerify()

    @classmethod
    def __pydantic_init_subclass__(cls, **options: Any) -> None:
        super().__pydantic_init_subclass__(**options)
        if "name" in vars(cls):
            METHODS[cls.name] = cls

    @model_validator(mode="after")
    def _rule_fits(self) -> Self:
        rule = self.update_rule
        if rule != WriteVerify() and not self.trains_on_tiles:
            raise SpecError(f"{self.display_name} trains nothing on tiles, so update_rule has no effect; leave it out")
        if not rule.keeps_value and (self.needs_values or self.weight_decay):
            reader = self.label if self.needs_values else "weight_decay"
            raise SpecError(
                f"{reader} needs the float copies of the weights, and update_rule = '{rule.name}' keeps none; "
                "use 'write_verify'"
            )
        return self

    @model_serializer(mode="wrap")
    def _without_unstated(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return self.stated(handler(self))

    @property
    def display_name(self) -> str:
        """Name in tables and figures."""
        return self.label

    @abstractmethod
    def placements(self) -> dict[str, Placement]:
        """Where each kind of trained tensor lives."""

    @property
    def trains_on_tiles(self) -> bool:
        """Whether something that it trains lives on tiles."""
        return "crossbar" in self.placements().values()

    def frozen_placements(self) -> dict[str, Placement]:
        """Where each kind of tensor lives that the method adds and never changes; programmed once, in 'pool'."""
        return {}

    def search_ranges(self) -> Ranges:
        """What a tuning may search, by the name of the setting."""
        return {**self.searched, **(self.searched_on_tiles if self.trains_on_tiles else {})}

    def table(self) -> dict[str, Any]:
        """Its name and its settings, as `peft_methods.methods.read_method` takes them."""
        return {"name": self.name, **self.model_dump(mode="json")}

    def attach(self: Maker[AnyAdapter], model: nn.Module, chip: AnyChip | None = None, seed: int = 0) -> AnyAdapter:
        """Change `model` in place and return the adapter; every other parameter is frozen.

        chip: where the model lies; None: the chip that its layers are on, or, if none is on tiles, nowhere: all
        arithmetic is digital (the method's digital twin). What is programmed while attaching is billed to the phases
        'pool' (frozen tensors) and 'adapt/update' (trained tensors). Raises MethodError for another model's chip, for
        a model that a method is attached to, and for what the method cannot change; model, chip and ledger are then
        as they were.
        """
        return attach_with(self.make_adapter, model, chip, seed)

    @abstractmethod
    def make_adapter(self, model: nn.Module, chip: AnyChip, seed: int) -> Adapter:
        """What `attach` does for this method."""


@dataclass(frozen=True)
class TrainedGroup:
    """Parameters that are trained with the same settings."""

    parameters: list[nn.Parameter]
    learning_rate: float
    weight_decay: float


class Adapter:
    """A method attached to a model: its trained parameters, its matrices, and the way back.

    left_out: layers that the method would change by default and cannot, since their owner reads them itself.
    start_values: what is trained, by name, as it was when the method was attached.
    """

    def __init__(self, method: Method, model: nn.Module, chip: AnyChip) -> None:
        self.method = method
        self.model = model
        self.chip = chip
        self.groups: list[TrainedGroup] = []
        self.matrices: list[Matrix] = []
        self.writers: list[Writer] = []
        self.placed: list[tuple[PlacedMatrix, Placement]] = []
        self.left_out: tuple[str, ...] = ()
        if user_of(model) is not None:
            raise MethodError(
                f"{method.display_name} cannot be attached: a method is attached to this {type(model).__name__} "
                "already; detach() that adapter first"
            )
        self._replaced: list[tuple[nn.Module, str, nn.Module | None]] = []
        self._backbone = set(model.parameters())
        self.originals: dict[nn.Parameter, torch.Tensor] = {}
        self._tiles_before = set(chip.matrices)
        self._labels_before = dict(chip.ledger.labels)
        self._before = chip.mark_writes()
        self._state: ModelState | None = None
        self.start_values: dict[str, torch.Tensor] = {}
        self._largest: dict[str, float | None] = {}
        chip.ledger.labels["method"] = method.display_name
        model.requires_grad_(False)
        if method.train_head:
            self.train(list(head_of(model).parameters()), method.learning_rate, method.weight_decay)

    def __str__(self) -> str:
        tiles = sum(isinstance(matrix, Matrix) for matrix, _ in self.placed)
        lines = [
            f"{self.method.display_name} on {type(self.model).__name__}: {self.trained_values} trained values, "
            f"{len(self._replaced)} layers changed, {tiles} matrices added on tiles"
        ]
        if self.left_out:
            more = f" and {len(self.left_out) - 1} more" if len(self.left_out) > 1 else ""
            lines.append(f"  left out {self.left_out[0]}{more}, whose {READ_BY_OWNER}")
        return "\n".join(lines)

    def settle(self, before: ModelState) -> None:
        """Nothing can be refused any more: `detach` will put back what was `before`."""
        self._state = before
        self.start_values = {
            name: self.originals[one] if one in self.originals else one.detach().clone()
            for name, one in self.trained_by_name().items()
        }
        close_fast_paths(self.model, AdaptedLayer)
        use(self.model, self.method.display_name)

    @property
    def attached(self) -> bool:
        """Whether `detach` has not been called."""
        return self._state is not None

    def train(self, parameters: list[nn.Parameter], learning_rate: float, weight_decay: float = 0.0) -> None:
        """Train these parameters, if they are not trained yet; those of the backbone are remembered for `detach`."""
        known = set(map(id, self.trained_parameters()))
        parameters = [parameter for parameter in parameters if id(parameter) not in known]
        for parameter in parameters:
            if parameter in self._backbone:
                self.originals[parameter] = parameter.detach().clone()
            parameter.requires_grad_(True)
        if parameters:
            self.groups.append(TrainedGroup(parameters, learning_rate, weight_decay))

    def place(
        self, name: str, weight: torch.Tensor, placement: Placement, largest: float | None = None
    ) -> PlacedMatrix:
        """A new matrix of this adapter, on tiles or in SRAM; arguments as in `placement.place`."""
        matrix = place(name, weight, placement, self.chip, largest)
        self.placed.append((matrix, placement))
        self._largest[name] = largest
        return matrix

    def place_again(self, matrix: Matrix, name: str, weight: torch.Tensor) -> PlacedMatrix:
        """A matrix like one of this adapter on tiles of its own, programmed with `weight`."""
        self._largest[name] = self._largest[matrix.name]
        return place(name, weight, "crossbar", self.chip, self._largest[name])

    def train_matrix(self, matrix: PlacedMatrix) -> nn.Parameter:
        """Register a placed matrix as trained: `write()` will program it if it is on tiles. Returns its master."""
        if isinstance(matrix, Matrix):
            self.matrices.append(matrix)
            self.writers.append(self.method.update_rule.writer(matrix))
        return matrix.master

    def replace(self, name: str, module: nn.Module) -> None:
        """Put `module` where the layer called `name` was; MethodError if its owner would not call it."""
        parent, _, child = name.rpartition(".")
        owner = self.model.get_submodule(parent)
        if isinstance(owner, nn.MultiheadAttention):
            raise MethodError(
                f"{name}: nn.MultiheadAttention reads the weight of this layer itself and would not call what "
                f"{self.method.display_name} puts there; name other targets, or put the attention on tiles"
            )
        layer = getattr(owner, child)
        if isinstance(module, AdaptedLayer) and not module.calls_base:
            computed = computed_weight(layer)
            if computed is not None or has_hooks(layer):
                raise MethodError(
                    f"{name}: {self.method.display_name} takes this layer's weight instead of calling it, but "
                    f"{computed or 'the layer has hooks, which would not run; remove them first'}"
                )
        self._replaced.append((owner, child, getattr(owner, child)))
        setattr(owner, child, module)

    def trained_parameters(self) -> list[nn.Parameter]:
        """Every trained parameter."""
        return [parameter for group in self.groups for parameter in group.parameters]

    def trained_by_name(self) -> dict[str, nn.Parameter]:
        """Every trained parameter by its name in the model; the same names on tiles and without a chip."""
        trained = set(map(id, self.trained_parameters()))
        return {
            name.replace(".matrix.master", ".weight"): parameter
            for name, parameter in self.model.named_parameters()
            if id(parameter) in trained
        }

    @torch.no_grad()
    def load(self, values: Mapping[str, torch.Tensor]) -> None:
        """Take over trained values, by name; what is on tiles is programmed with verify reads, whatever the rule.

        MethodError unless there is one finite tensor for each of `trained_by_name`, of its shape; nothing is then
        changed.
        """
        problem = difference(self.trained_by_name(), values)
        if problem is not None:
            raise MethodError(f"{self.method.display_name}: {problem}")
        for name, parameter in self.trained_by_name().items():
            parameter.copy_(values[name])
        with self.chip.ledger.phase(UPDATE):
            for matrix in self.matrices:
                matrix.program()
            self.writers = [self.method.update_rule.writer(matrix) for matrix in self.matrices]
            self.write()

    @property
    def before(self) -> ModelState:
        """What the model was when the method was attached; MethodError once it is detached."""
        if self._state is None:
            raise MethodError(f"{self.method.display_name} is not attached any more; method.attach(model) again")
        return self._state

    def task_writes(self) -> dict[str, NDArray[np.int64]]:
        """By matrix of the chip, how often each cell (planes, rows, columns) was written since the method was attached;
        what is programmed once and never changes, a pool, does not count."""
        trained = {matrix.name for matrix in self.matrices}
        frozen = {matrix.name for matrix, _ in self.placed} - trained
        return simulated_chip(self.chip).writes_since(self._before, frozen)

    @property
    def trained_values(self) -> int:
        """How many numbers are trained."""
        return sum(parameter.numel() for parameter in self.trained_parameters())

    def write(self, last: bool = False) -> int:
        """Bring the trained tensors to their cells by the method's update rule; returns how many cells took pulses.

        last: no further step follows.
        """
        written = sum(writer.write(last) for writer in self.writers)
        self.after_write()
        return written

    def after_write(self) -> None:
        """A hook: compute again what depends on the trained tensors."""

    def penalty(self) -> torch.Tensor | None:
        """A hook: what training adds to the loss; None: nothing."""
        return None

    def resume(self) -> None:
        """A hook: get ready to train, again if `finish` was called."""

    def finish(self) -> None:
        """A hook: get ready to infer once training is over, where something can be computed once and kept."""

    @torch.no_grad()
    def detach(self) -> None:
        """Put the original layers, values, buffers, gradients, flags and modes back and release the adapter's tiles.

        Digital tensors are bit-identical to before. Cells of the backbone that were rewritten are written
        back to their levels, with the programming error of a new write; all others were never touched. MethodError if
        it was called before.
        """
        before = self.before
        for owner, child, original in reversed(self._replaced):
            setattr(owner, child, original)
        open_fast_paths(self.model)
        for parameter, value in self.originals.items():
            parameter.copy_(value)
        with self.chip.ledger.phase(UPDATE):
            for matrix in self.matrices:
                matrix.keep_factors(False)
                if matrix.master in self.originals:
                    matrix.program()
        if isinstance(self.chip, TiledChip):
            for name in set(self.chip.matrices) - self._tiles_before:
                self.chip.release(name)
        before.restore()
        self._state = None
        self.chip.ledger.labels = self._labels_before
        leave(self.model)


class MergeableAdapter(Adapter, ABC):
    """An adapter whose effect is a change of the backbone's weights, and perhaps of biases."""

    @abstractmethod
    def delta_weights(self) -> dict[str, torch.Tensor]:
        """For every changed linear layer, the merged weight minus the frozen one (outputs, inputs)."""

    def delta_biases(self) -> dict[str, torch.Tensor]:
        """The same for the biases (outputs,) of the layers whose biases change."""
        return {}
