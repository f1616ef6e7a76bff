"""What each method asks of the hardware, by counting on the default backbone."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.estimates.counted import Workload
from benchmarks.estimates.estimate import attach_shape
from benchmarks.estimates.record import MethodRecord
from benchmarks.problems.shapes import get_shape
from crossbar_sim import Hardware
from peft_methods import METHODS, Method


def method_records() -> list[MethodRecord]:
    """Every method in each placement."""
    shape = get_shape("digits-vit")
    hardware = Hardware.load("milo2021_128x128")
    undeployed = Workload(calibration=0)
    records = []
    for name, kind in METHODS.items():
        for placement in placements(kind):
            method = kind(**({} if placement is None else {"placement": placement}))
            counted = attach_shape(shape, method, hardware, undeployed)
            records.append(
                MethodRecord(
                    method=name,
                    display_name=method.display_name,
                    placement=placement,
                    lives_in={**method.placements(), **method.frozen_placements()},
                    cells_written_per_step=counted.trained_cells,
                    cells_written_per_step_is="at most",
                    pool_cells=counted.pool_cells,
                    transposed_reads=method.transposed_reads,
                    extra_reads=method.extra_reads,
                    trained_values=counted.trained_values,
                )
            )
    return records


def placements(kind: type[Method]) -> tuple[str | None, ...]:
    """Where the trained matrices of a method may live; None: it has no choice."""
    return ("crossbar", "sram") if "placement" in kind.model_fields else (None,)


def table(records: Sequence[MethodRecord]) -> str:
    """One line per method and placement."""
    lines = [f"{'name':<18}{'cells/step':<14}{'transposed reads':<18}{'trained':<10}{'lives in':<54}extra reads"]
    for row in records:
        written = f"up to {row.cells_written_per_step:,}" if row.cells_written_per_step else "0"
        placed = ", ".join(f"{tensor}: {place}" for tensor, place in row.lives_in.items())
        lines.append(
            f"{row.method:<18}{written:<14}{row.transposed_reads!s:<18}{row.trained_values:<10,}"
            f"{placed:<54}{row.extra_reads}"
        )
    return "\n".join(lines)
