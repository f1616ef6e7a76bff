"""The neural tangent kernel (NTK) of a model: gradients as features, for gradient descent and for sign descent.

Malladi, Wettig, Yu, Chen and Arora, *A kernel-based view of language model fine-tuning*, ICML 2023. To first order a
small change d of the parameters changes the outputs by grad f(x) . d. If d is built from the gradients at the training
examples, the change of f(x) is a sum of NTK values, and fitting the examples is one linear system instead of many
steps:

    sgd            K(x, x') = <grad f(x), grad f(x')>              a step of gradient descent
    sign           K(x, x') = <sign grad f(x), sign grad f(x')>    symmetric stand-in of the next
    asymmetric     K(x, x') = <grad f(x), sign grad f(x')>         a step of sign descent; x' is the training example

Sign descent is the first step of Adam, and on a chip it is training with one pulse per cell (`ntk.pulses`).
The regression problems are solved in `ntk.solvers` and put to use in `ntk.fit`.
Shapes: N inputs, C outputs, P values of the chosen parameters; gradients are (N, C, P), an NTK (N C, N' C).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Literal

import torch
from torch import Tensor, nn
from torch.func import functional_call, jacrev, vmap

from crossbar_sim.chip.interface import AnyChip
from crossbar_sim.chip.matrix import Matrix
from peft_methods.base import Adapter
from peft_methods.errors import MethodError
from peft_methods.model_parts import block_of
from peft_methods.phases import BACKWARD, FORWARD, UPDATE
from peft_methods.placement import DIGITAL

Kind = Literal["sgd", "sign", "asymmetric"]
KINDS: tuple[Kind, ...] = ("sgd", "sign", "asymmetric")
Subspace = Literal["all", "blocks", "biases", "head"]
Count = Callable[[str, int], AbstractContextManager[None]]
Parameters = dict[str, nn.Parameter]
ROUNDING = 8
"""On the digits backbone key biases lie below a half, every other parameter above twenty thousand (float32)."""
CHUNK = 8192
"""Gradient values per block: an NTK is summed in double precision, block by block."""


def subspace(model: nn.Module, which: Subspace = "all") -> Parameters:
    """The parameters that may move: all, those of the numbered blocks, the blocks' biases (BitFit; no cell is
    written), or the digital head.

    Only 'all' holds the embeddings: in front of the first normalisation their gradients are so large that they
    outweigh every other parameter in the NTK (Malladi et al. leave them out too).
    """
    chosen = {
        name: parameter
        for name, parameter in model.named_parameters()
        if which == "all"
        or (which == "blocks" and block_of(name) is not None)
        or (which == "biases" and block_of(name) is not None and name.endswith("bias"))
        or (which == "head" and name.startswith("head."))
    }
    if not chosen:
        raise MethodError(f"{type(model).__name__} has no parameters in the subspace '{which}'; use 'all'")
    return chosen


def adapter_subspace(adapter: Adapter) -> Parameters:
    """The parameters that an attached adapter trains (those of LoRA: A and B), by their names in the model."""
    trained = set(adapter.trained_parameters())
    return {name: value for name, value in adapter.model.named_parameters() if value in trained}


def on_tiles(model: nn.Module) -> bool:
    """Whether some product of the model is an analog read."""
    return any(isinstance(module, Matrix) for module in model.modules())


def gradients(model: nn.Module, inputs: Tensor, parameters: Parameters, chip: AnyChip = DIGITAL) -> Tensor:
    """grad f_c(x_n) (N, C, P) for inputs (N, ...); the parameters' values follow one another in the order given.

    Digital models: exact Jacobians (torch.func). On tiles: one forward read per input and one transposed read per
    input and output, billed to 'adapt/forward' and 'adapt/backward'.
    """
    return outputs_and_gradients(model, inputs, parameters, chip)[1]


def outputs_and_gradients(
    model: nn.Module, inputs: Tensor, parameters: Parameters, chip: AnyChip = DIGITAL, count: Count | None = None
) -> tuple[Tensor, Tensor]:
    """f (N, C) and its gradients (N, C, P) from the same reads. count(kind, samples): a context that bills the digital
    layers of a 'forward' or 'backward' pass on tiles."""
    if on_tiles(model):
        return _gradients_on_tiles(model, inputs, parameters, chip, count or _uncounted)
    with torch.no_grad():
        reached: Tensor = model(inputs)
    values = {name: parameter.detach() for name, parameter in parameters.items()}

    def outputs(chosen: dict[str, Tensor], x: Tensor) -> Tensor:
        result: Tensor = functional_call(model, chosen, (x[None],))
        return result[0]

    blocks = vmap(jacrev(outputs), in_dims=(None, 0))(values, inputs)
    return reached, torch.cat([blocks[name].flatten(2) for name in values], dim=2).detach()


def _uncounted(kind: str, samples: int) -> AbstractContextManager[None]:
    return nullcontext()


def _gradients_on_tiles(
    model: nn.Module, inputs: Tensor, parameters: Parameters, chip: AnyChip, count: Count
) -> tuple[Tensor, Tensor]:
    ledger = chip.ledger
    wanted = list(parameters.values())
    rows = []
    reached = []
    with differentiable(parameters):
        for x in inputs:
            with ledger.phase(FORWARD), count("forward", 1):
                outputs = model(x[None])[0]
            with ledger.phase(BACKWARD):
                per_output = []
                for output in outputs:
                    with count("backward", 1):
                        parts = torch.autograd.grad(output, wanted, retain_graph=True, materialize_grads=True)
                    per_output.append(parts)
            reached.append(outputs.detach())
            rows.append(torch.stack([torch.cat([part.flatten() for part in parts]) for parts in per_output]))
    return torch.stack(reached), torch.stack(rows)


@contextmanager
def differentiable(parameters: Parameters) -> Iterator[None]:
    """Inside, outputs can be differentiated by the parameters, which a chip freezes."""
    required = [parameter.requires_grad for parameter in parameters.values()]
    try:
        for parameter in parameters.values():
            parameter.requires_grad_(True)
        with torch.enable_grad():
            yield
    finally:
        for parameter, before in zip(parameters.values(), required, strict=True):
            parameter.requires_grad_(before)


def linearised_change(
    model: nn.Module, inputs: Tensor, parameters: Parameters, change: Tensor, chip: AnyChip = DIGITAL
) -> Tensor:
    """grad f(x) . change, (N, C), for change (P,): two backward passes, or on tiles the gradients of all inputs."""
    if on_tiles(model):
        return gradients(model, inputs, parameters, chip) @ change
    values = {name: parameter.detach().requires_grad_(True) for name, parameter in parameters.items()}
    with torch.enable_grad():
        outputs: Tensor = functional_call(model, values, (inputs,))
        weights = torch.zeros_like(outputs, requires_grad=True)
        # weights -> weights . grad f is linear, so its own derivative along `change` is grad f . change
        backward = torch.autograd.grad(
            outputs, list(values.values()), weights, create_graph=True, materialize_grads=True
        )
        along = torch.stack([(a * b).sum() for a, b in zip(backward, split(parameters, change).values(), strict=True)])
        (moved,) = torch.autograd.grad(along.sum(), weights)
    return moved


def split(parameters: Parameters, flat: Tensor) -> dict[str, Tensor]:
    """The parts of a vector (P,) in the shapes of the parameters."""
    sizes = [parameter.numel() for parameter in parameters.values()]
    parts = zip(parameters.items(), flat.split(sizes), strict=True)
    return {name: part.view_as(parameter).to(parameter) for (name, parameter), part in parts}


def without_noise(rows: Tensor, parameters: Parameters) -> Tensor:
    """Gradients (N, C, P) with exact zeros for every parameter whose gradients are zero but for rounding, as those of
    key biases are: softmax does not change when all scores move alike. Their signs would be as large as any other.

    A parameter is one of these if its largest gradient is below ROUNDING steps of the number type, of the largest of
    all. The same tensor comes back where there is none.
    """
    largest = rows.abs().amax((0, 1))
    least = ROUNDING * torch.finfo(rows.dtype).eps * largest.max()
    kept = torch.cat([(part.abs().max() >= least).expand(part.numel()) for part in split(parameters, largest).values()])
    return rows if bool(kept.all()) else rows * kept.to(rows)


def ntk(rows: Tensor, columns: Tensor | None = None, kind: Kind = "sgd") -> Tensor:
    """K (N C, N' C), float64, of gradients (N, C, P) and, on the side of the training examples, (N', C, P)."""
    if kind not in KINDS:
        raise MethodError(f"no kind of NTK '{kind}'; valid: {', '.join(KINDS)}")
    left = rows.flatten(0, 1)
    right = (rows if columns is None else columns).flatten(0, 1)
    total = torch.zeros(len(left), len(right), dtype=torch.float64)
    for a, b in zip(left.split(CHUNK, dim=1), right.split(CHUNK, dim=1), strict=True):
        total += (a.sign() if kind == "sign" else a).double() @ (b if kind == "sgd" else b.sign()).double().T
    return total


@torch.no_grad()
def write_once(
    model: nn.Module, parameters: Parameters, change: Tensor, chip: AnyChip = DIGITAL, matrices: Iterable[str] = ()
) -> int:
    """Deploy a solution: add `change` (P,) to the parameters and program every cell that differs, once.

    Returns the cells written (0 on a chip without tiles); they are billed to 'adapt/update'. Weights beyond the range
    of their columns are clipped by programming. matrices: names of the chip's matrices to program; all by default.
    """
    for name, part in split(parameters, change).items():
        parameters[name].add_(part)
    chosen = set(matrices) or set(chip.matrices)
    with chip.ledger.phase(UPDATE):
        return sum(matrix.program().count for name, matrix in chip.matrices.items() if name in chosen)
