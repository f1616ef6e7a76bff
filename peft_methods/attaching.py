"""Attaching a method to a model: to which chip it is billed, and nothing at all where it is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeVar

from torch import nn

from crossbar_sim.chip.digital import DigitalChip
from crossbar_sim.chip.interface import AnyChip, TiledChip
from crossbar_sim.chip.matrix import Matrix
from crossbar_sim.spec.seeds import check_seed
from peft_methods.errors import MethodError
from peft_methods.model_state import ModelState


class Settling(Protocol):
    """What is attached."""

    def settle(self, before: ModelState) -> None:
        """Nothing can be refused any more."""


Attached = TypeVar("Attached", bound=Settling)


def attach_with(
    make: Callable[[nn.Module, AnyChip, int], Attached], model: nn.Module, chip: AnyChip | None, seed: int
) -> Attached:
    """`Method.attach`, with what makes the adapter."""
    chip = chip_for(model, chip)
    check_seed(seed, MethodError)
    before = ModelState(model)
    try:
        with chip.all_or_nothing():
            adapter = make(model, chip, seed)
    except BaseException:
        before.restore_layers()
        before.restore()
        raise
    adapter.settle(before)
    return adapter


def chip_for(model: nn.Module, chip: AnyChip | None) -> AnyChip:
    """The chip that a method on `model` is billed to: the one of its layers, or `chip`; MethodError where the layers of
    the model are on another one."""
    on_tiles = any(isinstance(module, Matrix) for module in model.modules())
    if not on_tiles:
        if chip is not None and chip.matrices:
            raise MethodError(
                f"the chip holds {len(chip.matrices)} matrices ({next(iter(chip.matrices))}, ...) and none of them is "
                f"of this {type(model).__name__}, which is digital; map_model(model, chip) it, or leave the chip out"
            )
        return DigitalChip() if chip is None else chip
    own = TiledChip.of(model)
    if chip is not None and chip is not own:
        raise MethodError(
            f"the layers of this {type(model).__name__} are on another chip than the one given; give the chip that "
            "map_model returned for it, or leave it out"
        )
    return own
