"""The layers of an unmapped model on the tiles of a chip that holds their matrices already."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from crossbar_sim.chip.interface import TiledChip
from crossbar_sim.chip.mapped import MappedState
from crossbar_sim.chip.matrix import Matrix
from crossbar_sim.layers.base import MappedLayer
from crossbar_sim.layers.fast_path import close_fast_paths, open_fast_paths
from crossbar_sim.layers.loading import check_before_loading, stop_checking
from crossbar_sim.layers.model import kind_of, mapped_record, replace_modules
from crossbar_sim.spec.errors import MappingError


def put_back(model: nn.Module, chip: TiledChip, state: MappedState) -> None:
    """Put the layers that were mapped on the matrices of their names, and have the model take its digital numbers.

    Raises MappingError, and leaves the model as it was, if its layers, shapes or numbers are not those of `state`.
    """
    found = dict(model.named_modules())
    mapped: dict[nn.Module, MappedLayer] = {}
    for name, kind in state.layers.items():
        module = found.get(name)
        own = "nothing" if module is None else type(module).__name__
        put = None if module is None else kind_of(module)
        if module is None or own != kind or put is None:
            raise MappingError(
                f"the chip was saved with another model: '{name}' was a {kind}, in {type(model).__name__} it is {own}; "
                "give an unmapped model of the same architecture"
            )
        mapped[module] = put(name, module, _holder(chip))
    replace_modules(model, mapped)
    close_fast_paths(model)
    check_before_loading(model)
    record = mapped_record(model, state.layers)
    try:
        record.become(state)
    except MappingError:
        open_fast_paths(model)
        stop_checking(model)
        replace_modules(model, {layer: module for module, layer in mapped.items()})
        raise
    chip.mapped.append(record)


def _holder(chip: TiledChip) -> Callable[[str, torch.Tensor], Matrix]:
    def held(name: str, weight: torch.Tensor) -> Matrix:
        matrix = chip.matrices.get(name)
        if matrix is None or matrix.master.shape != weight.shape:
            there = "none" if matrix is None else f"one of shape {tuple(matrix.master.shape)}"
            raise MappingError(
                f"the chip was saved with another model: '{name}' has weights of shape {tuple(weight.shape)} and the "
                f"saved chip {there}; give a model of the same architecture"
            )
        return matrix

    return held
