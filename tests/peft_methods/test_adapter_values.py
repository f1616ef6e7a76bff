"""What an adapter is given from outside fits, or is refused before anything is changed."""

from __future__ import annotations

import pytest
import torch

from crossbar_sim import Hardware, map_model
from peft_methods import LoRA, fine_tune
from peft_methods.errors import DataError, MethodError
from tests.conftest import tiny_net


@pytest.mark.parametrize("damage", ["missing", "unknown", "shape", "nan"])
def test_values_that_do_not_fit_are_refused_and_change_neither_parameters_nor_cells(
    milo: Hardware, damage: str
) -> None:
    model = tiny_net()
    chip = map_model(model, milo)
    adapter = LoRA().attach(model, chip)
    values = {name: torch.ones_like(value) for name, value in adapter.trained_by_name().items()}
    name = sorted(values)[-1]
    if damage == "missing":
        del values[name]
    elif damage == "unknown":
        values["no such tensor"] = torch.zeros(1)
    else:
        values[name] = torch.zeros(2, 2, 2) if damage == "shape" else torch.full_like(values[name], float("nan"))
    before = {name: value.clone() for name, value in adapter.trained_by_name().items()}
    writes = chip.writes()
    with pytest.raises(MethodError, match="'"):
        adapter.load(values)
    assert all(torch.equal(before[name], value) for name, value in adapter.trained_by_name().items())
    assert (chip.writes() == writes).all()


@pytest.mark.parametrize("seed", [-1, 2**63, 10**40])
def test_a_seed_that_no_generator_takes_is_refused(seed: int) -> None:
    model = tiny_net()
    with pytest.raises(MethodError, match="0 to 2\\*\\*63 - 1"):
        LoRA().attach(model, seed=seed)
    assert all(parameter.requires_grad for parameter in model.parameters())


def test_complex_inputs_are_refused() -> None:
    model = tiny_net()
    adapter = LoRA(steps=1).attach(model)
    with pytest.raises(DataError, match="complex64"):
        fine_tune(model, adapter, torch.zeros(2, 6, dtype=torch.complex64), torch.zeros(2, dtype=torch.long))
