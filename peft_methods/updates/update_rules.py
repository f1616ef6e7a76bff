"""Update rules: how the change that the optimiser wants reaches the cells of a trained matrix on tiles.

A rule is a setting of a method (`update_rule`), by name or as a table with its own settings. The matrix's master is
where the optimiser writes; what the chip has to keep for it, and what a step costs, is the rule's to say.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import torch
from pydantic import BeforeValidator, Field, SerializerFunctionWrapHandler, model_serializer

from crossbar_sim.cells.compiled.stochastic_update import SLOTS
from crossbar_sim.cells.outer_product import update_scheme
from crossbar_sim.chip.matrix import Matrix
from crossbar_sim.chip.simulated import SimulatedMatrix, simulated
from crossbar_sim.runtime.counter_random import stream_key, uniforms_at
from crossbar_sim.spec.spec import Spec


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


BLIND = ": blind pulses depend on data; simulate, or write with verify"
TRAINS = ": pulse trains depend on data; simulate, or write with verify"
"""Why a matrix has to be simulated."""


class UpdateRule(Spec, ABC):
    """From the optimiser to the cells.

    keeps_value: a float copy of every weight is kept in SRAM (needed by weight decay and by DoRA's norms).
    uses_optimizer: AdamW says how far; else the rule decides from the gradient, or from its two factors.
    """

    papers: ClassVar[tuple[str, ...]] = ()
    keeps_value: ClassVar[bool]
    uses_optimizer: ClassVar[bool] = True

    @model_serializer(mode="wrap")
    def _with_its_name(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """A table always names its rule, also where defaults are left out."""
        return {"rule": getattr(self, "rule"), **handler(self)}  # noqa: B009 - every rule has one, the base has not

    @property
    @abstractmethod
    def costs(self) -> StepCosts:
        """Digital work per trained value on tiles and step."""

    @abstractmethod
    def writer(self, matrix: Matrix) -> Writer:
        """What carries the updates of one matrix to its cells."""


class Writer(ABC):
    """One matrix under a rule."""

    def __init__(self, matrix: Matrix) -> None:
        self.matrix = matrix

    @abstractmethod
    def write(self, last: bool) -> int:
        """Bring what the optimiser did to the master to the cells; returns how many cells took pulses.

        last: no further step follows.
        """


class WriteVerify(UpdateRule):
    """A float copy w collects the updates; cells whose level no longer fits are programmed with verify reads.

    `every`: only each so many steps (and after the last one). `threshold`: only weights with |w - w at its last
    write| >= threshold R, R the largest weight its column can hold; one level of L is 1 / (L - 1).
    """

    rule: Literal["write_verify"] = "write_verify"
    every: Annotated[int, Field(ge=1)] = 1
    threshold: Annotated[float, Field(ge=0, le=1)] = 0.0

    keeps_value: ClassVar[bool] = True

    @property
    def costs(self) -> StepCosts:
        if self.threshold == 0:
            return ADAMW
        return StepCosts(ADAMW.kept + 1, ADAMW.reads + 1, ADAMW.writes, ADAMW.adds + 1, ADAMW.multiplies)

    def writer(self, matrix: Matrix) -> Writer:
        return VerifiedWriter(matrix, self)


class VerifiedWriter(Writer):
    """`WriteVerify` of one matrix."""

    def __init__(self, matrix: Matrix, rule: WriteVerify) -> None:
        super().__init__(matrix)
        self.rule, self.steps = rule, 0
        self.held = matrix.master.detach().clone() if rule.threshold else None

    def write(self, last: bool) -> int:
        self.steps += 1
        if self.steps % self.rule.every and not last:
            return 0
        if self.held is None:
            return self.matrix.program().count
        wanted, limit = self.matrix.master.detach(), self.matrix.largest_weight
        kept = wanted.clamp(-limit, limit)
        moved = (kept - self.held).abs() >= self.rule.threshold * limit * (1 - 1e-6)
        self.held = torch.where(moved, kept, self.held)
        wanted.copy_(self.held)
        count = self.matrix.program().count
        wanted.copy_(kept)
        return count


class SignPulses(UpdateRule):
    """One blind pulse per weight and step against the sign of its gradient, whatever its size (Manhattan rule,
    Zamanidoost et al. 2015). Neither optimiser nor learning rate; nothing is kept in SRAM."""

    rule: Literal["sign_pulses"] = "sign_pulses"

    papers: ClassVar[tuple[str, ...]] = ("zamanidoost2015",)
    keeps_value: ClassVar[bool] = False
    uses_optimizer: ClassVar[bool] = False

    @property
    def costs(self) -> StepCosts:
        return StepCosts(kept=0, reads=1, writes=0, adds=0, multiplies=0)

    def writer(self, matrix: Matrix) -> Writer:
        return SignWriter(simulated(matrix, BLIND))


class SignWriter(Writer):
    """`SignPulses` of one matrix."""

    matrix: SimulatedMatrix

    def write(self, last: bool) -> int:
        gradient = self.matrix.master.grad
        if gradient is None:
            return 0
        return self.matrix.pulse(-gradient.sign().cpu().numpy().astype(np.int64)).count


class OpenLoopPulses(UpdateRule):
    """|change| / (mean pulse) blind pulses per weight and step; the chip believes that every pulse moves equally far.

    The mean pulse is R / full_swing_pulses. `rounding`: 'stochastic' gives the fraction of a pulse its chance (the
    mean is right, as in Gokmen and Vlasov 2016), 'nearest' drops what is below half a pulse. No float copy of the
    weights is kept.
    """

    rule: Literal["open_loop_pulses"] = "open_loop_pulses"
    rounding: Literal["stochastic", "nearest"] = "stochastic"

    papers: ClassVar[tuple[str, ...]] = ("gokmen2016",)
    keeps_value: ClassVar[bool] = False

    @property
    def costs(self) -> StepCosts:
        return StepCosts(ADAMW.kept - 1, ADAMW.reads - 1, ADAMW.writes - 1, ADAMW.adds - 1, ADAMW.multiplies + 1)

    def writer(self, matrix: Matrix) -> Writer:
        return PulseWriter(simulated(matrix, BLIND), self.rounding)


class MixedPrecision(UpdateRule):
    """chi <- chi + change in SRAM; whole pulses leave chi for the cells, blind (Nandakumar et al. 2020).

    `granularity`: the mean pulses that chi must collect before it is emptied. The cells hold the only copy of the
    weights, chi what they do not know yet.
    """

    rule: Literal["mixed_precision"] = "mixed_precision"
    granularity: Annotated[int, Field(ge=1)] = 1

    papers: ClassVar[tuple[str, ...]] = ("nandakumar2020",)
    keeps_value: ClassVar[bool] = False

    @property
    def costs(self) -> StepCosts:
        return StepCosts(ADAMW.kept, ADAMW.reads, ADAMW.writes, ADAMW.adds, ADAMW.multiplies + 1)

    def writer(self, matrix: Matrix) -> Writer:
        return AccumulatingWriter(simulated(matrix, BLIND), self.granularity)


class StochasticPulses(UpdateRule):
    """W <- W - learning_rate d^T x by random pulse trains on the rows (x) and columns (d, the output's gradient) of a
    tile: a cell takes a pulse where both coincide (Gokmen and Vlasov 2016).

    `learning_rate`: weight per product of gradient and input, constant; neither the method's own nor its schedule is
    used. `bits`: longest train of one sample. Neither optimiser nor gradient nor copy is kept in SRAM.
    """

    rule: Literal["stochastic_pulses"] = "stochastic_pulses"
    learning_rate: Annotated[float, Field(gt=0)] = 0.05
    bits: Annotated[int, Field(ge=1, le=SLOTS)] = SLOTS

    papers: ClassVar[tuple[str, ...]] = ("gokmen2016",)
    keeps_value: ClassVar[bool] = False
    uses_optimizer: ClassVar[bool] = False

    @property
    def costs(self) -> StepCosts:
        return StepCosts(kept=0, reads=0, writes=0, adds=0, multiplies=0)

    def writer(self, matrix: Matrix) -> Writer:
        return OuterProductWriter(simulated(matrix, TRAINS), self)


class OuterProductWriter(Writer):
    """`StochasticPulses` of one matrix."""

    matrix: SimulatedMatrix

    def __init__(self, matrix: SimulatedMatrix, rule: StochasticPulses) -> None:
        super().__init__(matrix)
        update_scheme(matrix.hardware)  # refuses what cannot be updated before the first step
        self.rule = rule
        matrix.keep_factors()

    def write(self, last: bool) -> int:
        factors = self.matrix.take_factors()
        if not factors:
            return 0
        x, error = (torch.cat(parts) for parts in zip(*factors, strict=True))
        return self.matrix.update(x, error, self.rule.learning_rate, self.rule.bits).count


class ChangeWriter(Writer):
    """A writer that turns the change of the master since its last write into blind pulses."""

    matrix: SimulatedMatrix

    def __init__(self, matrix: SimulatedMatrix) -> None:
        super().__init__(matrix)
        self.held = matrix.master.detach().clone()
        self.steps = 0
        self.pulse = matrix.largest_weight.double().cpu() / matrix.hardware.device.full_swing_pulses

    @torch.no_grad()
    def write(self, last: bool) -> int:
        change = (self.matrix.master - self.held).double().cpu() / self.pulse
        pulses = self.pulses(change).clamp(-self.most, self.most)
        self.steps += 1
        self.matrix.master.copy_(self.held)
        count = self.matrix.pulse(pulses.numpy().astype(np.int64)).count
        self.held = self.matrix.master.detach().clone()
        return count

    @property
    def most(self) -> int:
        """Longest train of pulses."""
        return self.matrix.hardware.device.max_pulses

    @abstractmethod
    def pulses(self, change: torch.Tensor) -> torch.Tensor:
        """Whole pulses per weight for a change in units of the mean pulse."""


class PulseWriter(ChangeWriter):
    """`OpenLoopPulses` of one matrix."""

    def __init__(self, matrix: SimulatedMatrix, rounding: str) -> None:
        super().__init__(matrix)
        self.rounding = rounding
        self.key = stream_key(int(matrix.cells.key[0]), matrix.name, "update")

    def pulses(self, change: torch.Tensor) -> torch.Tensor:
        if self.rounding == "nearest":
            return change.round()
        chance = torch.from_numpy(uniforms_at(np.full(change.numel(), self.steps, np.uint32), self.key)).view_as(change)
        return torch.floor(change + chance)


class AccumulatingWriter(ChangeWriter):
    """`MixedPrecision` of one matrix; chi is in units of the mean pulse."""

    def __init__(self, matrix: SimulatedMatrix, granularity: int) -> None:
        super().__init__(matrix)
        self.granularity = granularity
        self.chi = torch.zeros(matrix.master.shape, dtype=torch.float64)

    def pulses(self, change: torch.Tensor) -> torch.Tensor:
        self.chi += change
        leaving = torch.where(self.chi.abs() >= self.granularity * (1 - 1e-6), self.chi, 0.0)
        leaving = torch.trunc(leaving * (1 + 1e-6)).clamp(-self.most, self.most)
        self.chi -= leaving
        return leaving


def _by_name(value: Any) -> Any:
    return {"rule": value} if isinstance(value, str) else value


AnyRule = Annotated[
    Annotated[
        WriteVerify | SignPulses | OpenLoopPulses | MixedPrecision | StochasticPulses, Field(discriminator="rule")
    ],
    BeforeValidator(_by_name),
]
RULES: Mapping[str, type[UpdateRule]] = {
    "write_verify": WriteVerify,
    "sign_pulses": SignPulses,
    "open_loop_pulses": OpenLoopPulses,
    "mixed_precision": MixedPrecision,
    "stochastic_pulses": StochasticPulses,
}
