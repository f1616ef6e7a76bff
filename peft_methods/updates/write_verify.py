"""WriteVerify: cells whose level no longer fits the float copy are programmed with verify reads."""

from __future__ import annotations

from typing import Annotated, ClassVar

import torch
from pydantic import Field

from crossbar_sim.chip.matrix import Matrix
from peft_methods.updates.base import ADAMW, StepCosts, UpdateRule, Writer


class WriteVerify(UpdateRule):
    """A float copy w collects the updates; cells whose level no longer fits are programmed with verify reads.

    `every`: only each so many steps (and after the last one). `threshold`: only weights with |w - w at its last
    write| >= threshold R, R the largest weight its column can hold; one level of L is 1 / (L - 1).
    """

    every: Annotated[int, Field(ge=1)] = 1
    threshold: Annotated[float, Field(ge=0, le=1)] = 0.0

    name: ClassVar[str] = "write_verify"
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
        self.matrix = matrix
        self.rule = rule
        self.steps = 0
        self.held = matrix.master.detach().clone() if rule.threshold else None

    def write(self, last: bool) -> int:
        self.steps += 1
        if self.steps % self.rule.every and not last:
            return 0
        if self.held is None:
            return self.matrix.program().count
        wanted = self.matrix.master.detach()
        limit = self.matrix.largest_weight
        kept = wanted.clamp(-limit, limit)
        moved = (kept - self.held).abs() >= self.rule.threshold * limit * (1 - 1e-6)
        self.held = torch.where(moved, kept, self.held)
        wanted.copy_(self.held)
        count = self.matrix.program().count
        wanted.copy_(kept)
        return count
