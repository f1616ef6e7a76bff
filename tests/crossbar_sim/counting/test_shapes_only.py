"""What is remembered of an operation's shapes is what torch says, the second time as the first."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch.nn import functional

from crossbar_sim.counting.shapes_only import ShapesOnly


def meta(*shape: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return torch.empty(*shape, dtype=dtype, device="meta")


CASES: dict[str, Callable[[], Any]] = {
    "broadcast": lambda: meta(3, 1, 4) * meta(2, 1),
    "types are promoted": lambda: meta(3, dtype=torch.float16) + meta(3, dtype=torch.float64),
    "a number": lambda: meta(3, dtype=torch.int64) * 0.5,
    "sum": lambda: meta(3, 4, 5).sum(dim=(0, -1), keepdim=True),
    "product": lambda: meta(2, 3, 4) @ meta(2, 4, 5),
    "of a transposed one": lambda: meta(3, 4).T.clone(),
    "normalised": lambda: functional.layer_norm(meta(2, 3, 4), (4,), meta(4), meta(4)),
    "softmax": lambda: functional.softmax(meta(2, 3), dim=-1),
    "attention": lambda: functional.scaled_dot_product_attention(meta(1, 2, 3, 4), meta(1, 2, 3, 4), meta(1, 2, 3, 4)),
    "convolution": lambda: functional.conv2d(meta(1, 3, 8, 8), meta(4, 3, 3, 3), stride=2),
    "several results": lambda: torch.max(meta(3, 4), dim=1),
    "embedding": lambda: functional.embedding(meta(2, 3, dtype=torch.int64), meta(10, 4)),
    "a view": lambda: meta(4, 6).reshape(2, 12).expand(2, 12)[:, :5],
    "a change in place": lambda: meta(3, 4).add_(meta(4)),
    "a mixture": lambda: torch.cat([meta(2, 3), meta(4, 3)]),
}


def seen(found: Any) -> Any:
    if isinstance(found, torch.Tensor):
        return found.shape, found.stride(), found.dtype, found.device
    return [seen(one) for one in found]


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_shapes_are_those_of_torch(case: Callable[[], Any]) -> None:
    wanted = seen(case())
    with ShapesOnly():
        assert seen(case()) == wanted
        assert seen(case()) == wanted


def test_gradients_have_the_shapes_of_torch() -> None:
    def grad() -> Any:
        weight = meta(4, 3).requires_grad_()
        out = functional.gelu(functional.layer_norm(meta(2, 3) @ weight.T, (4,)))
        return torch.autograd.grad(out.sum(), weight)

    wanted = seen(grad())
    with ShapesOnly():
        assert seen(grad()) == seen(grad()) == wanted


def test_two_results_are_two_tensors() -> None:
    with ShapesOnly():
        one, other = meta(3) + 1, meta(3) + 1
    assert one is not other


def test_a_tensor_with_values_is_computed_with() -> None:
    with ShapesOnly():
        assert (torch.ones(3) + 1).tolist() == [2, 2, 2]


def test_what_torch_refuses_is_refused_every_time() -> None:
    with ShapesOnly():
        for _ in range(2):
            with pytest.raises(RuntimeError):
                meta(3) + meta(4)
