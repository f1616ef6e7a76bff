"""Row norms of a mixed pool: from tables that are computed once, or read through the tiles after every update."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import nn

from crossbar_sim.chip.interface import AnyChip
from peft_methods.model_parts import LinearLike, merged_row_operations, merged_row_squares, row_squares, safe_squares
from peft_methods.placement import PlacedMatrix, bill_arithmetic, bill_sram, read_back


class MixtureNorm(nn.Module, ABC):
    """||W + dW||_row of a mixture, from the squares ||w_o||^2 and products computed once."""

    one_off: int
    """Multiply-accumulates when the pool is attached."""

    def frozen(self) -> torch.Tensor:
        """||W||_row (d_out,)."""
        squares: torch.Tensor = self.get_buffer("squares")
        return squares.sqrt()

    def _root(self, added: torch.Tensor) -> torch.Tensor:
        """(||w_o||^2 + added)^(1/2), safe from rounding to zero or below."""
        squares: torch.Tensor = self.get_buffer("squares")
        return safe_squares(squares + added, squares).sqrt()

    @property
    @abstractmethod
    def operations(self) -> int:
        """Multiply-accumulates of one evaluation."""

    @property
    def stored_values(self) -> int:
        """Numbers kept in SRAM for this."""
        return sum(buffer.numel() for buffer in self.buffers())


class FusedNorm(MixtureNorm):
    """||W + s B_w A_w||_row without forming it: n_o^2 = ||w_o||^2 + 2 s b_o . c_o + s^2 b_o^T M b_o,
    with c = W A_w^T and M = A_w A_w^T mixed from products computed once when the pool is attached."""

    def __init__(
        self, weight: torch.Tensor, a_stack: torch.Tensor, b_stack: torch.Tensor, scaling: float, modules: int
    ) -> None:
        super().__init__()
        a = a_stack.detach().unflatten(0, (modules, -1))
        b = b_stack.detach().unflatten(1, (modules, -1)).transpose(0, 1)
        c = torch.einsum("oi,nri->nor", weight, a)
        gram = torch.einsum("nri,msi->nmrs", a, a)
        self.scaling = scaling
        self.outputs = weight.shape[0]
        self.rank = a.shape[1]
        self.one_off = (c.numel() + gram.numel()) * weight.shape[1]
        self.register_buffer("squares", weight.square().sum(dim=1), persistent=False)
        self.register_buffer("b_and_c", torch.stack([b, c], dim=1).flatten(1), persistent=False)
        self.register_buffer("gram", gram.flatten(2).flatten(0, 1), persistent=False)

    def forward(self, w: torch.Tensor) -> torch.Tensor:
        """Row norms (d_out,) for coefficients w (N,)."""
        # sums of products, not matrix products: `operations` bills them once per training step
        b, c = (w[:, None] * self.get_buffer("b_and_c")).sum(0).view(2, self.outputs, self.rank)
        pairs = (w[:, None] * w).flatten()[:, None]
        gram = (pairs * self.get_buffer("gram")).sum(0).view(self.rank, self.rank)
        added = ((2 * c + self.scaling * (b[:, :, None] * gram).sum(1)) * b).sum(dim=1)
        return self._root(self.scaling * added)

    @property
    def operations(self) -> int:
        """Multiply-accumulates of one evaluation."""
        return self.stored_values + self.outputs * self.rank * (self.rank + 1)


class SummedNorm(MixtureNorm):
    """||W + s sum_i w_i B_i A_i||_row without forming it: n_o^2 = ||w_o||^2 + 2 s w . p_o + s^2 w^T q_o w, with
    p_io = (B_i A_i)_o . w_o and q_ijo = (B_i A_i)_o . (B_j A_j)_o computed once when the pool is attached."""

    def __init__(
        self, weight: torch.Tensor, a_stack: torch.Tensor, b_stack: torch.Tensor, scaling: float, modules: int
    ) -> None:
        super().__init__()
        a = a_stack.detach().unflatten(0, (modules, -1))
        b = b_stack.detach().unflatten(1, (modules, -1)).transpose(0, 1)
        c = torch.einsum("oi,nri->nor", weight, a)
        (outputs, inputs), rank = weight.shape, a.shape[1]
        # c, its product with b, and for every pair of modules A_i A_j^T, B_i times it and the product with B_j
        per_pair = rank * rank * inputs + outputs * rank * (rank + 1)
        self.one_off = c.numel() * (inputs + 1) + modules * modules * per_pair
        self.scaling = scaling
        self.register_buffer("squares", weight.square().sum(dim=1), persistent=False)
        self.register_buffer("overlaps", (b * c).sum(-1), persistent=False)
        self.register_buffer(
            "pairs",
            torch.stack(
                [
                    torch.einsum(
                        "mos,mos->mo", torch.einsum("or,mrs->mos", b[i], torch.einsum("ri,msi->mrs", a[i], a)), b
                    )
                    for i in range(modules)
                ]
            ),
            persistent=False,
        )

    def forward(self, w: torch.Tensor) -> torch.Tensor:
        """Row norms (d_out,) for coefficients w (N,)."""
        # sums of products, not matrix products: `operations` bills them once per training step
        from_pairs = (w[:, None, None] * w[:, None] * self.get_buffer("pairs")).sum((0, 1))
        added = 2 * (w[:, None] * self.get_buffer("overlaps")).sum(0) + self.scaling * from_pairs
        return self._root(self.scaling * added)

    @property
    def operations(self) -> int:
        """Multiply-accumulates of one evaluation."""
        return self.stored_values


class ReadNorm(nn.Module):
    """||W + s B' A'||_row of a mixture dW = s B' A' of rank k, read through the tiles: A' by k transposed reads of the
    stack of all A_i, B' by k reads of the stack of all B_i, C = W A'^T by k reads of W;
    n_o^2 = ||w_o||^2 + 2 s b_o . c_o + s^2 b_o^T (A' A'^T) b_o.

    k is the modules' rank r; N r if modules are mixed themselves. Kept in SRAM: ||w_o||^2 and n_o, 2 d_out values.
    """

    norm: torch.Tensor
    squares: torch.Tensor

    def __init__(self, base: LinearLike, a: PlacedMatrix, b: PlacedMatrix, scaling: float, chip: AnyChip) -> None:
        super().__init__()
        self._matrices = base, a, b  # of the layer, which registers them
        self.scaling = scaling
        self.chip = chip
        squares = row_squares(base)
        self.register_buffer("squares", squares, persistent=False)
        self.register_buffer("norm", squares.sqrt(), persistent=False)

    @torch.no_grad()
    def refresh(self, into_a: torch.Tensor, into_b: torch.Tensor) -> None:
        """Read the norm anew; into_a, into_b (k, N r): what drives the two stacks, row by row, to give A' and B'^T."""
        base, a_stack, b_stack = self._matrices
        a, b = read_back(a_stack, into_a), b_stack(into_b).T
        self.norm = merged_row_squares(base, self.squares, a, b, self.scaling).sqrt()
        operations, words = merged_row_operations(a, b), a.numel() + 2 * b.numel()
        bill_arithmetic(self.chip, "fusion", adds=operations, multiplies=operations)
        bill_sram(self.chip, "fusion", reads=words + len(b), writes=words + len(b))
