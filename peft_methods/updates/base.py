"""UpdateRule: the interface of a rule, what a step of it costs, and the writer that carries one matrix's updates."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

from pydantic import (
    BeforeValidator,
    SerializeAsAny,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)

from crossbar_sim import SpecError
from crossbar_sim.chip.matrix import Matrix
from crossbar_sim.spec.spec import Spec, nearest

RULES: dict[str, type[UpdateRule]] = {}
"""Every update rule by its name; a rule enters when its class is made."""


@dataclass(frozen=True)
class StepCosts:
    """Digital work per trained value and step: 32-bit SRAM words and float operations; `kept`: words it occupies."""

    kept: int
    reads: int
    writes: int
    adds: int
    multiplies: int


ADAMW = StepCosts(kept=3, reads=4, writes=3, adds=5, multiplies=9)
"""Kept and written: value, two moments; the gradient is read too. Moments 2 + 4, bias correction 2, root, quotient,
update."""


class UpdateRule(Spec, ABC):
    """From the optimiser to the cells.

    name: in files and tables, under the key `rule`. keeps_value: a float copy of every weight is kept in SRAM (needed
    by weight decay and by DoRA's norms). uses_optimizer: AdamW says how far; else the rule decides from the gradient,
    or from its two factors.
    """

    name: ClassVar[str]
    papers: ClassVar[tuple[str, ...]] = ()
    keeps_value: ClassVar[bool]
    uses_optimizer: ClassVar[bool] = True

    @classmethod
    def __pydantic_init_subclass__(cls, **options: Any) -> None:
        super().__pydantic_init_subclass__(**options)
        if "name" in vars(cls):
            RULES[cls.name] = cls

    @model_validator(mode="before")
    @classmethod
    def _without_its_name(cls, data: Any) -> Any:
        if not isinstance(data, Mapping) or "rule" not in data:
            return data
        if data["rule"] != cls.name:
            raise SpecError(f"{cls.__name__} is the rule '{cls.name}', not '{data['rule']}'")
        return {key: value for key, value in data.items() if key != "rule"}

    @model_serializer(mode="wrap")
    def _with_its_name(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """A table always names its rule, also where defaults are left out."""
        return {"rule": self.name, **handler(self)}

    @property
    @abstractmethod
    def costs(self) -> StepCosts:
        """Digital work per trained value on tiles and step."""

    @abstractmethod
    def writer(self, matrix: Matrix) -> Writer:
        """What carries the updates of one matrix to its cells."""


class Writer(ABC):
    """One matrix under a rule."""

    @abstractmethod
    def write(self, last: bool) -> int:
        """Bring what the optimiser did to the master to the cells; returns how many cells took pulses.

        last: no further step follows.
        """


def read_rule(value: Any) -> Any:
    """A rule from its name or its table; everything else stays as it is. SpecError names the nearest rule."""
    table = {"rule": value} if isinstance(value, str) else value
    if not isinstance(table, Mapping):
        return value
    name = str(table.get("rule"))
    if name not in RULES:
        raise SpecError(f"update_rule: no rule '{name}'{nearest(name, list(RULES))}")
    try:
        return RULES[name](**table)
    except SpecError as error:
        raise SpecError(f"update_rule: {error}") from None


AnyRule = Annotated[SerializeAsAny[UpdateRule], BeforeValidator(read_rule)]
"""A field that holds any rule."""
