"""Second derivatives, tracing and time that goes back are refused in one sentence; an empty chip has no writes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from crossbar_sim import Chip, CrossbarError, Hardware, MappingError, map_model


def test_a_second_derivative_is_refused_by_name(ideal: Hardware) -> None:
    model = nn.Sequential(nn.Linear(4, 3), nn.Tanh(), nn.Linear(3, 1))
    map_model(model, ideal)
    model.requires_grad_(True)
    x = torch.randn(5, 4, requires_grad=True)
    (gradient,) = torch.autograd.grad(model(x).sum(), x, create_graph=True)
    with pytest.raises(MappingError, match="a second derivative cannot be read from tiles"):
        gradient.pow(2).sum().backward()


@pytest.mark.parametrize("create_graph", [False, True])
def test_first_derivatives_are_the_same_with_a_graph_of_them(create_graph: bool, ideal: Hardware) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 3), nn.Tanh(), nn.Linear(3, 1))
    x = torch.randn(5, 4, requires_grad=True)
    wanted = torch.autograd.grad(model(x).sum(), (x, model[0].weight))
    chip = map_model(model, ideal)
    model.requires_grad_(True)
    found = torch.autograd.grad(model(x).sum(), (x, chip.matrices["0"].master), create_graph=create_graph)
    assert all(torch.allclose(one, other, atol=1e-5) for one, other in zip(wanted, found, strict=True))


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_export_and_trace_are_refused_with_what_to_do_instead(ideal: Hardware) -> None:
    model = nn.Sequential(nn.Linear(8, 4))
    map_model(model, ideal)
    for tried in (torch.export.export, torch.jit.trace):
        with pytest.raises(MappingError, match=r"unmap\(model, weights='cells'\)"):
            tried(model, (torch.rand(3, 8),))


@pytest.mark.parametrize(
    "transform",
    [
        lambda model, x: torch.vmap(model)(x),
        lambda model, x: torch.func.jacrev(model)(x[0]),
        lambda model, x: torch.func.grad(lambda one: model(one).sum())(x[0]),
        lambda model, x: torch.func.jvp(model, (x,), (x,)),
    ],
    ids=["vmap", "jacrev", "grad", "jvp"],
)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_transforms_of_functions_are_refused(transform: Callable[..., object], milo: Hardware) -> None:
    model = nn.Sequential(nn.Linear(8, 4))
    chip = map_model(model, milo)
    before = chip.ledger.rows()
    with pytest.raises(MappingError, match="0: torch.func's transforms"):
        transform(model, torch.rand(3, 8))
    assert chip.ledger.rows() == before


def test_a_sparse_input_is_refused(milo: Hardware) -> None:
    model = nn.Sequential(nn.Linear(8, 4))
    map_model(model, milo)
    with pytest.raises(MappingError, match="reads dense tensors"):
        model(torch.rand(3, 8).to_sparse())


@pytest.mark.parametrize("seed", [-1, 1.5, 2**63, 10**400, None, "1", float("nan")])
def test_what_is_no_seed_is_refused(seed: Any, milo: Hardware) -> None:
    model = nn.Sequential(nn.Linear(8, 4))
    with pytest.raises(CrossbarError, match="choose a whole number from 0"):
        map_model(model, milo, seed=seed)
    with pytest.raises(CrossbarError, match="choose a whole number from 0"):
        Chip(milo, seed)
    assert type(model[0]) is nn.Linear


def test_numpy_whole_numbers_are_seeds(milo: Hardware) -> None:
    cells = [Chip(milo, seed).matrix("w", torch.ones(2, 3)).cells.conductance for seed in (3, np.int64(3))]
    assert (cells[0] == cells[1]).all()


@pytest.mark.parametrize(
    ("model", "chip"), [(lambda x: x, "milo2021_128x128"), (None, "milo2021_128x128"), ("net", None), ("net", 3)]
)
def test_what_is_no_model_or_no_chip_is_named(model: Any, chip: Any) -> None:
    given = nn.Sequential(nn.Linear(8, 4)) if model == "net" else model
    with pytest.raises(MappingError, match="^(model|chip): .* got "):
        map_model(given, chip)


@pytest.mark.parametrize("seconds", [-1, float("nan"), float("inf"), "3 h", None])
@pytest.mark.parametrize("with_cells", [False, True])
def test_time_only_goes_forward(seconds: Any, with_cells: bool, milo: Hardware) -> None:
    chip = Chip(milo)
    if with_cells:
        chip.matrix("w", torch.ones(2, 3))
    with pytest.raises(CrossbarError, match="time only goes forward"):
        chip.wait(seconds)


def test_an_empty_chip_has_no_writes(milo: Hardware) -> None:
    assert Chip(milo).writes().shape == (0,) and Chip(milo).writes().dtype == "int64"


def test_complex_weights_are_refused(milo: Hardware) -> None:
    with pytest.raises(MappingError, match="tiles hold real numbers"):
        Chip(milo).matrix("w", torch.ones(2, 3, dtype=torch.complex64))
