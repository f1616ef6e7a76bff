"""Frozen: nothing is attached and nothing trained; the row that every other method is compared with."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import model_validator
from torch import nn

from crossbar_sim import SpecError
from crossbar_sim.chip.interface import AnyChip
from peft_methods.base import Adapter, Method
from peft_methods.placement import Placement
from peft_methods.tuning import Ranges


class Frozen(Method):
    """logits = f(x): the pre-trained model as it stands on the chip; no steps, no trained values, no writes.

    Settings of training have no effect and are refused. A head that is new to the task has the values that it was
    drawn with, so that the score is then that of chance.
    """

    name: ClassVar[str] = "frozen"
    label: ClassVar[str] = "frozen"
    writes_cells: ClassVar[bool] = False
    transposed_reads: ClassVar[bool] = False
    extra_reads: ClassVar[str] = "none"
    searched: ClassVar[Ranges] = {}
    unstated: ClassVar[frozenset[str]] = frozenset(Method.model_fields)

    learning_rate: float = 0.0
    steps: int = 0

    @model_validator(mode="before")
    @classmethod
    def _nothing_is_set(cls, data: Any) -> Any:
        for key, field in cls.model_fields.items():
            if key in data and data[key] != field.default:
                raise SpecError(f"frozen trains nothing, so {key} has no effect; leave it out")
        return data

    def placements(self) -> dict[str, Placement]:
        return {}

    def make_adapter(self, model: nn.Module, chip: AnyChip, seed: int) -> Adapter:
        return Adapter(self, model, chip)
