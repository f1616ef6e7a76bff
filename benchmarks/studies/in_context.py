"""The tables of in-context learning.

floor: exact attention on keys with a fixed distortion or read noise; tiles: the same with keys that a chip computes;
transformer: the shipped transformer against the exact posterior, digital and on a chip.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from benchmarks.problems.pretraining.in_context import (
    LinearPrompts,
    excess_error,
    load_regression_transformer,
    noise_floor,
    noise_floor_on_tiles,
)
from benchmarks.record import Record
from benchmarks.studies.base import Findings, Study
from crossbar_sim import Hardware, map_model
from crossbar_sim.runtime.threads import one_thread

LENGTHS = (16, 64, 256, 512)
SHOWN_EXAMPLES = (0, 4, 8, 16, 39)  # of the transformer's table
PROMPTS_ON_CHIP = 250  # at most


def designs(hardware: Hardware) -> dict[str, Hardware]:
    """Nothing, programming alone, read noise alone, and everything on."""
    ideal = hardware.ideal()
    noise = ideal.replace(device=ideal.device.replace(read_noise=hardware.device.read_noise))
    return {
        "ideal": ideal,
        "levels and programming error": hardware.without("read_noise", "dac", "adc"),
        "read noise": noise,
        "everything on": hardware,
    }


def transformer_ratios(hardware: Hardware, prompts: int, prompts_on_chip: int, seed: int) -> dict[str, list[float]]:
    """Excess error over that of the exact posterior mean after 0, 1, ... examples."""
    digital, _ = load_regression_transformer()
    mapped, _ = load_regression_transformer()
    map_model(mapped, hardware)
    runs = {"digital": (digital, prompts), "on the chip": (mapped, prompts_on_chip)}
    return {
        name: excess_error(model, LinearPrompts(), count, seed).ratio.tolist() for name, (model, count) in runs.items()
    }


class ConditionRecord(Record):
    """One line of a table."""

    condition: str
    """What disturbs the keys, or where the transformer runs."""
    examples: tuple[int, ...]
    """In the prompt."""
    values: tuple[float, ...]
    """Mean squared error beyond the noise; for the transformer, over that of the exact posterior mean."""


class InContextFindings(Findings[ConditionRecord]):
    """One record per condition, all for the same numbers of examples."""

    def __str__(self) -> str:
        lines = [f"{'examples':<32}" + "".join(f"{column:>9}" for column in self.records[0].examples)]
        lines += [f"{one.condition:<32}" + "".join(f"{value:>9.3g}" for value in one.values) for one in self.records]
        return "\n".join(lines)


@dataclass(frozen=True)
class InContext(Study):
    """In-context linear regression on noisy keys, and by a transformer."""

    table: Literal["floor", "tiles", "transformer"]
    """Which table."""
    prompts: int | None = None
    """Prompts per number of examples; floor 400, tiles 200, else 4000."""
    hardware: str = "milo2021_128x128"
    """The chip design."""
    seed: int = 0
    """Of prompts and chip."""

    def run(self) -> InContextFindings:
        """Draw prompts and measure."""
        with one_thread():
            columns, rows = self._rows()
        return InContextFindings(
            tuple(
                ConditionRecord(condition=name, examples=columns, values=tuple(values)) for name, values in rows.items()
            )
        )

    def _rows(self) -> tuple[tuple[int, ...], Mapping[str, tuple[float, ...]]]:
        if self.table == "floor":
            return LENGTHS, noise_floor(LinearPrompts(8), LENGTHS, self.prompts or 400, self.seed).errors
        hardware = Hardware.load(self.hardware)
        if self.table == "tiles":
            chips, count = designs(hardware), self.prompts or 200
            return LENGTHS, noise_floor_on_tiles(LinearPrompts(8), chips, LENGTHS, count, self.seed).errors
        count = self.prompts or 4000
        found = transformer_ratios(hardware, count, min(count, PROMPTS_ON_CHIP), self.seed)
        return SHOWN_EXAMPLES, {name: tuple(ratio[shown] for shown in SHOWN_EXAMPLES) for name, ratio in found.items()}
