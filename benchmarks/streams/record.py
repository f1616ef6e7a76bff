"""What a stream writes: one record per seed, with what was measured after each task and after each request."""

from __future__ import annotations

from benchmarks.record import Record, SeedRecord


class Spent(Record):
    """What the chip has spent and worn by then, from the moment it was made."""

    cumulative_reprogramming_energy_J: float
    """Of all programming but that of the model and of what is never trained: first writes of an adapter, the updates of
    every task, and the way back to earlier tasks."""
    cumulative_pool_energy_J: float
    """Of programming the pool and other frozen matrices of the method."""
    cumulative_total_energy_J: float
    """Of everything."""
    cumulative_energy_by_phase_J: dict[str, float]
    """By deploy, pool, adapt, infer."""
    cumulative_energy_by_component_J: dict[str, float]
    """By component of the ledger."""
    cells_written: int
    """Cell writes of all adaptations and switches."""
    pool_cells_written: int
    """Cell writes of the pool and other frozen matrices of the method."""
    max_writes_per_cell: int
    """Of the worst cell, deployment included."""
    mean_writes_per_cell: float
    """Of all cells, deployment included."""
    cells: int
    """Cells in use, those of tasks with tiles of their own included."""
    failed_cells: int
    """Cells that were written more often than they live; 0 where the device states no lifetime of single cells."""
    tiles: int
    """Tiles in use."""
    sram_bytes: int
    """Of memory beside the tiles: trained values and their optimiser, tables of the method, and what learned tasks
    keep."""
    time_s: float
    """Of all events, one after the other."""


class TaskStep(Spent):
    """After one task was learned."""

    task: str
    """Its name."""
    index: int
    """How many tasks were learned before it."""
    accuracy: float
    """The problem's score on its test samples."""
    accuracies_of_earlier: dict[str, float]
    """The same of every task learned before, with its own digital values and whatever is on the tiles now."""
    accuracy_of_earlier: float | None
    """Mean of these; None for the first task."""
    forgetting: float | None
    """Mean over them of their score when they were learned minus this one; None for the first task."""


class RequestStep(Spent):
    """After one request for a learned task was answered."""

    task: str
    """Its name."""
    index: int
    """How many requests were answered before."""
    accuracy: float
    """On its test samples, all of which the request asks for."""
    switching_energy_J: float
    """What it cost to bring the task back, of everything on the ledger."""
    cells_rewritten: int
    """Cell writes to bring the task back."""


class StreamSeed(SeedRecord):
    """One seed of a stream: one chip, from its deployment to the last request."""

    trained_values: int
    """Numbers that are trained for each task."""
    steps: tuple[TaskStep, ...]
    """One per task learned."""
    requests: tuple[RequestStep, ...]
    """One per request."""
    failed: bool
    """Whether the stream ended because a task could not be learned as well as before."""


class StreamRecord(Record):
    """One task of one seed of one method, flat, for scripts."""

    method: str
    """Its name in tables."""
    problem: str
    """Its name."""
    score_name: str
    """What the accuracies are."""
    hardware: str
    """Its name."""
    task: str
    """Its name."""
    index: int
    """How many tasks were learned before it."""
    accuracy: float
    """The problem's score on its test samples."""
    accuracy_of_earlier: float | None
    """Mean over the tasks learned before; None for the first task."""
    forgetting: float | None
    """Mean loss of these since they were learned; None for the first task."""
    cumulative_reprogramming_energy_J: float
    """Of all programming but that of the model and of what is never trained."""
    cumulative_pool_energy_J: float
    """Of programming the pool and other frozen matrices of the method."""
    cumulative_total_energy_J: float
    """Of everything."""
    cells_written: int
    """Cell writes of all adaptations so far."""
    pool_cells_written: int
    """Cell writes of the pool and other frozen matrices of the method."""
    max_writes_per_cell: int
    """Of the worst cell, deployment included."""
    mean_writes_per_cell: float
    """Of all cells, deployment included."""
    failed_cells: int
    """Cells written more often than they live."""
    tiles: int
    """Tiles in use."""
    sram_bytes: int
    """Of memory beside the tiles."""
    time_s: float
    """Of all events, one after the other."""
    seed: int
    """Of data, programming and noise."""
