"""DigitalChip: no tiles, and a ledger that bills nothing; what a method runs on where there is no chip."""

from __future__ import annotations

from contextlib import AbstractContextManager

from crossbar_sim.chip.interface import AnyChip
from crossbar_sim.chip.matrix import Matrix
from crossbar_sim.chip.write_mark import WriteMark
from crossbar_sim.hardware.digital import Digital
from crossbar_sim.ledger.ledger import Ledger

FREE = Digital(sram_read=0.0, sram_write=0.0, add=0.0, multiply=0.0, shift_add=0.0)
"""Digital circuits that cost nothing."""


class DigitalChip(AnyChip):
    """All arithmetic is digital and exact, and free: the twin of a run on a chip."""

    def __init__(self) -> None:
        self.ledger = Ledger(billing=False)
        self.digital = FREE
        self.matrices: dict[str, Matrix] = {}

    def probing(self) -> AbstractContextManager[None]:
        return self.ledger.paused()

    def all_or_nothing(self) -> AbstractContextManager[None]:
        return self.ledger.all_or_nothing()

    def mark_writes(self) -> WriteMark:
        return WriteMark({})
