"""The digital periphery: SRAM words and floating-point arithmetic, energy per operation."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from crossbar_sim.spec import SourcedSpec
from crossbar_sim.units import Joule

NonNegative = Field(ge=0)


class Digital(SourcedSpec):
    """Energies of 32-bit digital operations beside the tiles."""

    sram_read: Annotated[Joule, NonNegative]
    sram_write: Annotated[Joule, NonNegative]
    add: Annotated[Joule, NonNegative]
    multiply: Annotated[Joule, NonNegative]
    shift_add: Annotated[Joule, NonNegative]

    @property
    def multiply_accumulate(self) -> float:
        """Joule of one multiply and one add."""
        return self.add + self.multiply
