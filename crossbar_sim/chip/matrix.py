"""Matrix: what layers, methods and bills need of a weight matrix on tiles."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, Protocol, Self

import torch
from torch import nn

from crossbar_sim.cells.written import Written
from crossbar_sim.hardware.hardware import Hardware
from crossbar_sim.ledger.ledger import Ledger
from crossbar_sim.mapping.layout import Layout
from crossbar_sim.mapping.tiles import Tile, cut
from crossbar_sim.spec.errors import MappingError

Factors = tuple[torch.Tensor, torch.Tensor]
"""x (samples, inputs) and the gradient of the loss by the output (samples, outputs)."""


class Holder(Protocol):
    """What matrices are on."""

    @property
    def matrices(self) -> Mapping[str, Matrix]:
        """By name."""


class Matrix(nn.Module, ABC):
    """y = x W^T through tiles. W (outputs, inputs) is the float master copy; the cells hold its levels.

    Gradients reach x through the transposed tiles and `master` as the digital outer product of the output gradient and
    the input. `keep_factors` has backward passes keep those two factors instead, for an update that multiplies them on
    the tiles. `chip`: what it is on; None for a matrix by itself.
    """

    def __init__(self, hardware: Hardware, ledger: Ledger, name: str, weight: torch.Tensor) -> None:
        super().__init__()
        if weight.ndim != 2 or 0 in weight.shape:
            raise MappingError(f"{name}: only non-empty matrices go on tiles, got shape {tuple(weight.shape)}")
        if weight.is_complex():
            raise MappingError(f"{name}: tiles hold real numbers, got weights of {weight.dtype}")
        self.hardware = hardware
        self.ledger = ledger
        self.name = name
        self.master = nn.Parameter(weight.detach().clone().float(), requires_grad=False)
        outputs, inputs = weight.shape
        self.layout = Layout(hardware.tile, inputs, outputs)
        self.chip: Holder | None = None
        self.keeps_factors = False
        self._factors: list[Factors] = []

    @abstractmethod
    def read(self, x: torch.Tensor, transposed: bool = False) -> torch.Tensor:
        """One analog read per vector of x: (vectors, inputs) -> (vectors, outputs), or the reverse."""

    @abstractmethod
    def gradient_to_input(self, gradient: torch.Tensor) -> torch.Tensor:
        """(vectors, outputs) -> (vectors, inputs) by the hardware's `backward` rule. The exact rules are billed as
        reads at full drive."""

    @abstractmethod
    def program(self) -> Written:
        """Write the cells whose target level differs from what they were last programmed to."""

    @abstractmethod
    def weight(self) -> torch.Tensor:
        """The weights (outputs, inputs) that the present conductances stand for."""

    @property
    @abstractmethod
    def largest_weight(self) -> torch.Tensor:
        """The weight (outputs, inputs) at the end of each cell's window; (outputs, 1) where all inputs share it."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """x (..., inputs) -> (..., outputs), of the type of x; the tiles are read in float32."""
        exporting = torch.compiler.is_compiling() and not torch.compiler.is_dynamo_compiling()
        if exporting or torch.jit.is_tracing():  # type: ignore[attr-defined]
            raise MappingError(
                f"{self.name}: reads of tiles are simulated and cannot be traced or exported; unmap(model, "
                "weights='cells') and export the torch model that it gives back"
            )
        if torch._C._are_functorch_transforms_active():
            raise MappingError(
                f"{self.name}: torch.func's transforms (vmap, grad, jvp, ...) do not read tiles; loop over the vectors "
                "and use backward(), or transform the model that unmap() gives back"
            )
        if x.layout is not torch.strided:
            raise MappingError(f"{self.name} reads dense tensors, got {x.layout}; give x.to_dense()")
        if x.ndim == 0 or x.shape[-1] != self.layout.inputs:
            raise MappingError(f"{self.name} reads {self.layout.inputs} inputs per vector, got {tuple(x.shape)}")
        if x.is_complex():
            raise MappingError(f"{self.name} reads real numbers, got {x.dtype}; read real and imaginary parts apart")
        if torch.is_grad_enabled() and (x.requires_grad or self.master.requires_grad):
            product: torch.Tensor = _AnalogProduct.apply(x, self.master, self)
            return product
        return self.read(x.reshape(-1, x.shape[-1])).reshape(*x.shape[:-1], self.layout.outputs).to(x.dtype)

    def _apply(self, fn: Callable[[torch.Tensor], torch.Tensor], recurse: bool = True) -> Self:
        """What torch's `to`, `half` and so on do to every tensor: those of a matrix move to other devices, but keep
        their types."""

        def moved(tensor: torch.Tensor) -> torch.Tensor:
            result = fn(tensor)
            return result if result.dtype == tensor.dtype else tensor.to(result.device)

        return super()._apply(moved, recurse)

    @property
    def tiles(self) -> tuple[Tile, ...]:
        """Its tiles, row by row; cut when asked for, since a large model has a million."""
        outputs, inputs = self.master.shape
        return cut(self.name, inputs, outputs, self.hardware.tile)

    @property
    def tile_count(self) -> int:
        """How many tiles."""
        return self.layout.row_tiles * self.layout.column_tiles

    @property
    def cell_count(self) -> int:
        """Cells that hold a weight or a reference."""
        planes, inputs, columns = self.layout.shape
        return planes * inputs * columns

    def keep_factors(self, keep: bool = True) -> None:
        """From now on backward passes keep factors for `take_factors`, and the gradient of the master is not computed;
        keep=False: the reverse."""
        self.keeps_factors = keep
        self._factors.clear()

    def put_factors(self, x: torch.Tensor, gradient: torch.Tensor) -> None:
        """Keep the factors of one more backward pass: x (samples, inputs), gradient (samples, outputs)."""
        self._factors.append((x, gradient))

    def take_factors(self) -> list[Factors]:
        """The factors of all backward passes since they were last taken."""
        taken, self._factors = self._factors, []
        return taken

    def extra_repr(self) -> str:
        outputs, inputs = self.master.shape
        return f"{self.name}: {inputs} inputs, {outputs} outputs, {self.tile_count} tiles"


class _AnalogProduct(torch.autograd.Function):
    """Forward: one analog read. Backward: a transposed read for the input, an outer product for the master."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, master: torch.Tensor, matrix: Matrix) -> torch.Tensor:
        flat = x.reshape(-1, x.shape[-1])
        ctx.matrix, ctx.shape = matrix, x.shape
        if ctx.needs_input_grad[1]:
            ctx.save_for_backward(flat)
        return matrix.read(flat).reshape(*x.shape[:-1], master.shape[0]).to(x.dtype)

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor | None, torch.Tensor | None, None]:
        matrix = ctx.matrix
        (x,) = ctx.saved_tensors if ctx.needs_input_grad[1] else (None,)
        sources = (gradient, matrix.master) if x is None else (gradient, matrix.master, x)
        with torch.no_grad():
            flat = gradient.reshape(-1, gradient.shape[-1])
            to_input = matrix.gradient_to_input(flat).reshape(ctx.shape) if ctx.needs_input_grad[0] else None
            to_master = None
            if x is not None and matrix.keeps_factors:
                matrix.put_factors(x.detach(), flat.detach())
            elif x is not None:
                to_master = flat.float().T @ x.float()
        if torch.is_grad_enabled():  # create_graph=True
            to_input, to_master = (
                None if one is None else _FirstDerivative.apply(one, matrix.name, *sources)
                for one in (to_input, to_master)
            )
        return to_input, to_master, None


class _FirstDerivative(torch.autograd.Function):
    """A gradient as it is; what would differentiate it once more is refused."""

    @staticmethod
    def forward(ctx: Any, gradient: torch.Tensor, name: str, *sources: torch.Tensor) -> torch.Tensor:
        ctx.name = name
        return gradient.view_as(gradient)

    @staticmethod
    def backward(ctx: Any, *_: torch.Tensor) -> tuple[None, ...]:
        raise MappingError(
            f"{ctx.name}: a second derivative cannot be read from tiles; leave out create_graph=True, or differentiate "
            "the model that unmap() gives back"
        )
