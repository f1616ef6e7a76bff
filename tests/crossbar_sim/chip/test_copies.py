"""A copy of a mapped model, however it was made, has a chip of its own that goes on as the original does."""

from __future__ import annotations

import copy
import io
import pickle
from collections.abc import Callable

import pytest
import torch
from torch import nn

from crossbar_sim import Chip, Hardware, map_model
from crossbar_sim.chip.counted import CountedChip
from tests.crossbar_sim.chip.futures import DESIGNS, Net, future, with_a_past


def by_torch_save(model: nn.Module) -> nn.Module:
    file = io.BytesIO()
    torch.save(model, file)
    file.seek(0)
    loaded: nn.Module = torch.load(file, weights_only=False)
    return loaded


COPIES: dict[str, Callable[[nn.Module], nn.Module]] = {
    "deepcopy": copy.deepcopy,
    "pickle": lambda model: pickle.loads(pickle.dumps(model)),
    "torch.save": by_torch_save,
    "averaged": lambda model: torch.optim.swa_utils.AveragedModel(model).module,
    "copy of a copy": lambda model: copy.deepcopy(copy.deepcopy(model)),
}


@pytest.mark.parametrize("way", COPIES)
def test_every_copy_has_the_future_of_the_original(way: str) -> None:
    model = with_a_past(DESIGNS["wires and every effect"]())
    twin = COPIES[way](model)
    assert future(twin) == future(model)


@pytest.mark.parametrize("design", DESIGNS)
def test_a_copy_on_every_design_has_the_future_of_the_original(design: str) -> None:
    model = with_a_past(DESIGNS[design]())
    twin = copy.deepcopy(model)
    assert future(twin) == future(model)


def test_what_happens_to_a_copy_does_not_happen_to_the_original(milo: Hardware) -> None:
    model, same = with_a_past(milo), with_a_past(milo)
    future(copy.deepcopy(model))
    assert future(model) == future(same)


def test_copies_keep_sharing_and_training_mode(milo: Hardware) -> None:
    model = nn.Sequential(Net())
    model.append(model[0])
    map_model(model, milo)
    twin = copy.deepcopy(model.eval())
    assert twin[0] is twin[1] and not twin[0].mix.matrix.training
    assert set(Chip.of(twin).matrices) == set(Chip.of(model).matrices)


@pytest.mark.parametrize("way", COPIES)
def test_a_counted_chip_is_copied_with_its_bill(way: str, milo: Hardware) -> None:
    model = nn.Sequential(nn.Linear(8, 4))
    chip = map_model(model, CountedChip(milo))
    twin = CountedChip.of(COPIES[way](model))
    assert twin is not chip and twin.ledger.rows() == chip.ledger.rows()
    for one in (chip, twin):
        one.matrices["0"].read(torch.empty(3, 8, device="meta"))
    assert twin.ledger.rows() == chip.ledger.rows()
