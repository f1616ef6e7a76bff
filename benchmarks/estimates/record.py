"""Records of what is counted."""

from __future__ import annotations

from benchmarks.record import Record
from crossbar_sim.spec.units import engineering

UNITS = {"J": "J", "s": "s", "m2": "m²"}


class EstimateRecord(Record):
    """The bill of a method on a model, by counting."""

    model: str
    """Its name or file."""
    method: str
    """Its key in METHODS."""
    hardware: str
    """Its name."""
    trained_values: int
    """Numbers that are trained."""
    backbone_weights: int
    """Weights of the model on tiles."""
    tiles: int
    """All tiles in use."""
    backbone_cells: int
    """Cells of the model."""
    pool_cells: int
    """Cells of frozen matrices that the method adds."""
    trained_cells: int
    """Cells that training may rewrite."""
    steps: int
    """Of training."""
    batch: int
    """Samples per step."""
    changed_share: float
    """Of the trained cells, per step."""
    changed_share_range: tuple[float, float]
    """Smallest and largest of the runs that it was measured in; twice the same if it was stated."""
    changed_share_source: str
    """Where it comes from: measured, stated, or the bound."""
    cells_written_per_step: float
    """changed_share x trained_cells."""
    max_writes_per_cell: int
    """At most, deployment included."""
    reprogramming_energy_J: float
    """Everything that programming costs in the adaptation."""
    reprogramming_energy_range_J: tuple[float, float]
    """The same at both ends of changed_share_range."""
    reprogramming_energy_bound_J: float
    """The same if every step rewrote every trained cell."""
    pool_programming_energy_J: float
    """The same for the pool."""
    total_energy_J: float
    """Everything on the ledger."""
    energy_by_phase_J: dict[str, float]
    """By deploy, pool, adapt, infer."""
    energy_by_component_J: dict[str, float]
    """By component of the ledger."""
    adapt_energy_by_component_J: dict[str, float]
    """The adaptation alone, by component of the ledger."""
    latency_s: float
    """Events one after the other."""
    latency_by_phase_s: dict[str, float]
    """By deploy, pool, adapt, infer."""
    inference_latency_s: float | None
    """One inference, its matrices one after the other; None without inferences."""
    pipelined_interval_s: float | None
    """Time per inference with the matrices in a pipeline."""
    pipelined_slowest: str | None
    """The matrix that sets this time."""
    reads_by_phase: dict[str, int]
    """Vectors through matrices, by phase."""
    sram_bytes: int
    """Bytes of SRAM."""
    sram_bytes_by_use: dict[str, int]
    """trained: values with optimizer state; frozen: matrices in SRAM; kept: what the method keeps beside."""
    area_m2: float | None
    """Of the tiles in use; None if the hardware states no areas."""
    area_note: str
    """What the area is, or why there is none."""

    def __str__(self) -> str:
        """One line per number, with its unit; groups on one line, zeros left out."""
        lines = {key: _shown(key, value) for key, value in self.as_json().items()}
        if not self.cells_written_per_step:
            lines["cells_written_per_step"] = self._instead_of_writes()
        return "\n".join(f"{key:<30}{line}" for key, line in lines.items())

    def _instead_of_writes(self) -> str:
        """What a method that writes no cell costs instead."""
        pool = engineering(self.pool_programming_energy_J, "J")
        tables = engineering(self.sram_bytes_by_use["kept"], "B")
        sram = engineering(self.sram_bytes, "B")
        return (
            f"0; instead a pool of {self.pool_cells:,} cells, programmed once for {pool}, {self.tiles:,} tiles in all, "
            f"{sram} of SRAM, of which {tables} tables"
        )


class MethodRecord(Record):
    """A method in one placement, with its hardware consequences on the default backbone at default settings."""

    method: str
    """Its key in METHODS."""
    display_name: str
    """Its name in tables."""
    placement: str | None
    """Where trained matrices live, for methods that have the choice."""
    lives_in: dict[str, str]
    """Kind of tensor -> crossbar, sram or digital."""
    cells_written_per_step: int
    """An upper bound: only cells whose target level changes are written."""
    cells_written_per_step_is: str
    """at most."""
    pool_cells: int
    """Cells of frozen matrices that the method adds."""
    transposed_reads: bool
    """Needed by its training."""
    extra_reads: str
    """Analog reads beside those of the model."""
    trained_values: int
    """Numbers that are trained."""


def _shown(key: str, value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {_shown(key, part)}" for name, part in value.items() if part) or "0"
    unit = UNITS.get(key.rpartition("_")[2])
    if key.startswith("changed_share_range"):
        return " to ".join(f"{share:.3g}" for share in value) if isinstance(value, list) else str(value)
    if isinstance(value, list | tuple):
        return " to ".join(_shown(key, part) for part in value)
    if isinstance(value, int | float):
        return f"{value:,}" if unit is None else engineering(value, unit)
    return str(value)
