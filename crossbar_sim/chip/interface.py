"""AnyChip: what methods need of a chip, whether it is simulated, only counted, or has no tiles at all."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from crossbar_sim.chip.mapped import Mapped
from crossbar_sim.chip.matrix import Matrix
from crossbar_sim.chip.plan import Plan
from crossbar_sim.chip.write_mark import WriteMark
from crossbar_sim.hardware.digital import Digital
from crossbar_sim.hardware.hardware import Hardware
from crossbar_sim.ledger.ledger import Ledger
from crossbar_sim.spec.errors import MappingError


class AnyChip(ABC):
    """A ledger, the digital circuits beside the tiles, and what is on the tiles: `matrices` by name."""

    ledger: Ledger
    digital: Digital
    matrices: Mapping[str, Matrix]

    @abstractmethod
    def probing(self) -> AbstractContextManager[None]:
        """Reads inside are neither billed nor recorded: a look at a run does not change it."""

    @abstractmethod
    def all_or_nothing(self) -> AbstractContextManager[None]:
        """What an error ends inside leaves neither a matrix nor wear nor a row of the ledger behind; only new matrices
        may be programmed inside."""

    @abstractmethod
    def mark_writes(self) -> WriteMark:
        """How often each cell has been written so far; empty where no cell is simulated."""


class TiledChip(AnyChip):
    """A chip with tiles; `skipped` says which layers of a model stayed digital, and why, and `mapped` which models have
    layers on it."""

    hardware: Hardware
    skipped: list[tuple[str, str]]
    mapped: list[Mapped]

    @classmethod
    def of(cls, model: nn.Module) -> Self:
        """The chip that the layers of `model` are on; that of a copied model is a copy too.

        Raises MappingError if no layer is on a chip of this class, or the layers are on several chips.
        """
        matrices = [module for module in model.modules() if isinstance(module, Matrix)]
        chips = {id(matrix.chip): matrix.chip for matrix in matrices}
        if len(chips) > 1:
            raise MappingError(f"the layers of {type(model).__name__} are on {len(chips)} chips; name the one you mean")
        (chip,) = chips.values() if chips else (None,)
        if not isinstance(chip, cls):
            raise MappingError(f"no layer of {type(model).__name__} is on a {cls.__name__}; map_model() it first")
        for matrix in matrices:
            if chip.matrices.get(matrix.name) is not matrix:
                raise MappingError(f"the chip has given the tiles of '{matrix.name}' to another matrix, or to none")
        return chip

    @abstractmethod
    def matrix(
        self,
        name: str,
        weight: torch.Tensor,
        scale: NDArray[np.float64] | None = None,
        hardware: Hardware | None = None,
    ) -> Matrix:
        """Program a new matrix (outputs, inputs), billed to the current phase.

        scale (outputs,): the largest |w| each column can hold; None: taken from the weight. hardware: of its tiles,
        where it is not the chip's own. Raises MappingError if there is a matrix of that name.
        """

    def check_new(self, name: str) -> None:
        """MappingError if there is a matrix of that name."""
        if name in self.matrices:
            raise MappingError(f"the chip already holds a matrix called '{name}'; release it first")

    @abstractmethod
    def release(self, name: str) -> None:
        """Give the tiles of a matrix back."""

    @property
    def plan(self) -> Plan:
        """Which cells belong to what."""
        cut = dict.fromkeys(layers for one in self.mapped for layers in one.cut)
        return Plan(tuple(self.matrices.values()), tuple(self.skipped), self.hardware, tuple(cut))
