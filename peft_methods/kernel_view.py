"""Kernel view of fine-tuning: gradients as features, kernels of SGD and sign descent, and what they predict.

Malladi, Wettig, Yu, Chen and Arora, *A kernel-based view of language model fine-tuning*, ICML 2023. To first order a
small change d of the parameters changes the outputs by grad f(x) . d. If d is built from the gradients at the training
examples, the change of f(x) is a sum of kernel values, and fitting the examples is one linear system instead of many
steps:

    sgd            K(x, x') = <grad f(x), grad f(x')>              a step of gradient descent
    sign           K(x, x') = <sign grad f(x), sign grad f(x')>    symmetric stand-in of the next
    asymmetric     K(x, x') = <grad f(x), sign grad f(x')>         a step of sign descent; x' is the training example

Sign descent is the first step of Adam, and on a chip it is training with one pulse per cell (`pulse_training`).
Shapes: N inputs, C outputs, P values of the chosen parameters; gradients are (N, C, P), kernels (N C, N' C).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.func import functional_call, jacrev, vmap

from crossbar_sim import Chip
from crossbar_sim.matrix import MappedMatrix
from peft_methods.base import Adapter, MethodError
from peft_methods.placement import ledger_of

Kind = Literal["sgd", "sign", "asymmetric"]
KINDS: tuple[Kind, ...] = ("sgd", "sign", "asymmetric")
Parameters = dict[str, nn.Parameter]
CHUNK = 8192  # gradient values per block: kernels are summed in double precision, block by block


def subspace(model: nn.Module, which: Literal["all", "biases", "head"] = "all") -> Parameters:
    """The parameters that may move: all, the biases (BitFit; no cell is written), or the digital head."""
    chosen = {
        name: parameter
        for name, parameter in model.named_parameters()
        if which == "all"
        or (which == "biases" and name.endswith("bias"))
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
    return any(isinstance(module, MappedMatrix) for module in model.modules())


def gradients(model: nn.Module, inputs: Tensor, parameters: Parameters, chip: Chip | None = None) -> Tensor:
    """grad f_c(x_n) (N, C, P) for inputs (N, ...); the parameters' values follow one another in the order given.

    Digital models: exact Jacobians (torch.func). On tiles: one forward read per input and one transposed read per
    input and output, billed to 'adapt/forward' and 'adapt/backward'.
    """
    if on_tiles(model):
        return _gradients_on_tiles(model, inputs, parameters, chip)
    values = {name: parameter.detach() for name, parameter in parameters.items()}

    def outputs(chosen: dict[str, Tensor], x: Tensor) -> Tensor:
        result: Tensor = functional_call(model, chosen, (x[None],))
        return result[0]

    blocks = vmap(jacrev(outputs), in_dims=(None, 0))(values, inputs)
    return torch.cat([blocks[name].flatten(2) for name in values], dim=2)


def _gradients_on_tiles(model: nn.Module, inputs: Tensor, parameters: Parameters, chip: Chip | None) -> Tensor:
    ledger, wanted = ledger_of(chip), list(parameters.values())
    required = [parameter.requires_grad for parameter in wanted]
    rows = []
    try:
        for parameter in wanted:
            parameter.requires_grad_(True)
        for x in inputs:
            with torch.enable_grad(), ledger.phase("adapt/forward"):
                outputs = model(x[None])[0]
            with ledger.phase("adapt/backward"):
                per_output = [
                    torch.autograd.grad(output, wanted, retain_graph=True, materialize_grads=True) for output in outputs
                ]
            rows.append(torch.stack([torch.cat([part.flatten() for part in parts]) for parts in per_output]))
    finally:
        for parameter, before in zip(wanted, required, strict=True):
            parameter.requires_grad_(before)
    return torch.stack(rows)


def linearised_change(
    model: nn.Module, inputs: Tensor, parameters: Parameters, change: Tensor, chip: Chip | None = None
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


def kernel(rows: Tensor, columns: Tensor | None = None, kind: Kind = "sgd") -> Tensor:
    """K (N C, N' C), float64, of gradients (N, C, P) and, on the side of the training examples, (N', C, P)."""
    if kind not in KINDS:
        raise MethodError(f"no kernel '{kind}'; valid: {', '.join(KINDS)}")
    left, right = rows.flatten(0, 1), (rows if columns is None else columns).flatten(0, 1)
    total = torch.zeros(len(left), len(right), dtype=torch.float64)
    for a, b in zip(left.split(CHUNK, dim=1), right.split(CHUNK, dim=1), strict=True):
        total += (a.sign() if kind == "sign" else a).double() @ (b if kind == "sgd" else b.sign()).double().T
    return total


def solve_ridge(gram: Tensor, targets: Tensor, ridge: float = 0.0) -> Tensor:
    """alpha with (K + ridge ||K|| I) alpha = targets; ||K|| is the spectral norm.

    ridge = 0: the least-squares solution of smallest norm, which full-batch gradient descent from zero
    approaches if K = <grad f, grad f> of a linear model.
    """
    if ridge < 0:
        raise MethodError(f"ridge must not be negative, got {ridge:g}")
    if ridge == 0:
        # pinv keeps the minimum norm for singular kernels
        return torch.linalg.pinv(gram, rtol=1e-10) @ targets
    shift = ridge * torch.linalg.matrix_norm(gram, 2)
    return torch.linalg.solve(gram + shift * torch.eye(len(gram), dtype=gram.dtype), targets)


@dataclass(frozen=True)
class AsymmetricFit:
    """Two sets of coefficients: a weighs K(x_i, x), b weighs K(x, x_i). labels are +-1."""

    a: Tensor
    b: Tensor
    labels: Tensor

    def predict(self, from_training: Tensor, to_training: Tensor, balance: float = 0.5) -> Tensor:
        """f(x) = balance sum_i a_i y_i K(x_i, x) + (1 - balance) sum_i b_i y_i K(x, x_i).

        from_training (n, m) holds K(x_i, x) with the training example first, to_training (m, n) K(x, x_i).
        """
        one = from_training.T @ (self.a * self.labels)
        other = to_training @ (self.b * self.labels)
        return balance * one + (1 - balance) * other


def solve_asymmetric(gram: Tensor, labels: Tensor, gamma: float) -> AsymmetricFit:
    """Least-squares classification with a kernel that is not symmetric.

    Solves [[I/gamma, H], [H^T, I/gamma]] [a; b] = 1 with H_ij = y_i K_ij y_j for labels y = +-1 (n,). A symmetric K
    gives a = b and kernel ridge regression with ridge 1/gamma. K (n, n) is `kernel(..., kind="asymmetric")`.
    """
    signs = labels.to(gram)
    if gamma <= 0 or not bool((signs.abs() == 1).all()):
        raise MethodError(f"labels must be +1 or -1 and gamma positive, got gamma {gamma:g}")
    h = signs[:, None] * gram * signs
    diagonal = torch.eye(len(gram), dtype=gram.dtype) / gamma
    system = torch.cat([torch.cat([diagonal, h], dim=1), torch.cat([h.T, diagonal], dim=1)])
    solution = torch.linalg.solve(system, torch.ones(2 * len(gram), dtype=gram.dtype))
    return AsymmetricFit(solution[: len(gram)], solution[len(gram) :], signs)


@dataclass(frozen=True)
class KernelFit:
    """A fitted kernel predictor. coefficients (N, C); change (P,) = sum over examples of coefficient x feature.

    For 'sgd' and 'asymmetric' the prediction is that of the model linearised at `change`; the 'sign' kernel has no
    such change of parameters.
    """

    kind: Kind
    coefficients: Tensor
    change: Tensor
    with_start: bool

    def predict(self, model: nn.Module, inputs: Tensor, parameters: Parameters, chip: Chip | None = None) -> Tensor:
        """Outputs (n, C) for inputs (n, ...)."""
        if self.kind == "sign":
            moved = gradients(model, inputs, parameters, chip).sign() @ self.change
        else:
            moved = linearised_change(model, inputs, parameters, self.change, chip)
        return moved + _start(model, inputs, chip) if self.with_start else moved


def fit(
    model: nn.Module, inputs: Tensor, targets: Tensor, parameters: Parameters, *, kind: Kind = "sgd",
    ridge: float = 0.0, with_start: bool = True, chip: Chip | None = None,
) -> KernelFit:  # fmt: skip
    """Kernel regression on targets (N, C): the whole (N C) x (N C) problem at once.

    with_start: the predictor starts from the outputs of the model, f(x) = f_0(x) + sum K alpha, as fine-tuning does;
    otherwise it is the kernel sum alone. Reads of a chip are billed to 'adapt'; the solution is digital.
    """
    rows = gradients(model, inputs, parameters, chip)
    wanted = targets.double()
    if with_start:
        with ledger_of(chip).phase("adapt/forward"):
            wanted = wanted - _start(model, inputs, chip).double()
    alpha = solve_ridge(kernel(rows, kind=kind), wanted.flatten(), ridge)
    features = (rows if kind == "sgd" else rows.sign()).flatten(0, 1)
    change = torch.cat([alpha @ block.double() for block in features.split(CHUNK, dim=1)]).to(rows)
    return KernelFit(kind, alpha.view_as(wanted), change, with_start)


@torch.no_grad()
def _start(model: nn.Module, inputs: Tensor, chip: Chip | None) -> Tensor:
    outputs: Tensor = model(inputs)
    return outputs


def one_hot(labels: Tensor, classes: int, size: float = 1.0) -> Tensor:
    """Targets (N, C): `size` (1 - 1/C) for the label's class and -size/C for the others, so that rows sum to zero."""
    return size * (nn.functional.one_hot(labels, classes).float() - 1 / classes)


@torch.no_grad()
def write_once(
    model: nn.Module, parameters: Parameters, change: Tensor, chip: Chip | None = None, matrices: Iterable[str] = ()
) -> int:
    """Deploy a kernel solution: add `change` (P,) to the parameters and program every cell that differs, once.

    Returns the cells written (0 for digital parameters); they are billed to 'adapt/update'. Weights beyond the range of
    their columns are clipped by programming. matrices: names of the chip's matrices to program; all by default.
    """
    for name, part in split(parameters, change).items():
        parameters[name].add_(part)
    if chip is None:
        return 0
    chosen = set(matrices) or set(chip.matrices)
    with chip.ledger.phase("adapt/update"):
        return sum(matrix.program().count for name, matrix in chip.matrices.items() if name in chosen)
