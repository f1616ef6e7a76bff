"""The chip of a mapped model is found from the model."""

from __future__ import annotations

import copy
import re

import pytest
import torch
from torch import nn

from crossbar_sim import Hardware, MappingError, map_model
from crossbar_sim.chip.chip import Chip
from crossbar_sim.chip.counted import CountedChip
from crossbar_sim.chip.interface import TiledChip


def small() -> nn.Sequential:
    return nn.Sequential(nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 4))


def test_the_chip_of_a_mapped_model_is_the_one_that_map_model_returned(ideal: Hardware) -> None:
    model = small()
    chip = map_model(model, ideal)
    assert Chip.of(model) is chip
    assert TiledChip.of(nn.Sequential(model)) is chip
    assert Chip.of(model[0]) is chip


def test_a_counted_chip_is_found_and_is_no_simulated_one(ideal: Hardware) -> None:
    model = small()
    chip = map_model(model, CountedChip(ideal))
    assert CountedChip.of(model) is chip
    with pytest.raises(MappingError, match="no layer of Sequential is on a Chip"):
        Chip.of(model)


def test_a_copied_model_has_a_chip_of_its_own(ideal: Hardware) -> None:
    model = small()
    chip = map_model(model, ideal)
    twin = copy.deepcopy(model)
    theirs = Chip.of(twin)
    assert theirs is not chip and theirs.ledger is not chip.ledger
    assert theirs.matrices["0"] is twin[0].matrix


def test_no_chip_several_chips_and_released_tiles_are_refused(ideal: Hardware) -> None:
    with pytest.raises(MappingError, match=re.escape("map_model() it first")):
        Chip.of(small())
    one, other = small(), small()
    chip = map_model(one, ideal)
    map_model(other, ideal)
    with pytest.raises(MappingError, match="on 2 chips"):
        Chip.of(nn.Sequential(one, other))
    chip.release("0")
    chip.matrix("0", torch.ones(5, 6))
    with pytest.raises(MappingError, match="tiles of '0'"):
        Chip.of(one)
