"""What an experiment writes: one record per seed, and its summary over the seeds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from benchmarks.record import Record, SeedRecord
from crossbar_sim import Chip
from crossbar_sim.wear.statistics import wear
from peft_methods.phases import GROUPS
from peft_methods.training.loop import History, programming_energy

FORMAT = 5
"""Version of stored records: a part of the name of their folder. Raise it when the same specification gives other
numbers or keys than older code gave: records of older code are then not found, and simulated anew."""


class CurvePoint(Record):
    """The run at one step of training; measuring it costs nothing."""

    step: int
    """Training steps done."""
    write_energy_J: float
    """Of programming so far in the adaptation."""
    validation_accuracy: float
    """The score on the validation samples."""


class WornTile(Record):
    """Writes per cell in the adaptation on the tile whose worst cell was written most (the first, if none was)."""

    tile: str
    """Name of the matrix with the place of the tile in it."""
    rows: int
    """Of cells."""
    columns: int
    """Of cells."""
    writes: tuple[tuple[int, ...], ...]
    """Per row and column of used cells; G+ and G- side by side."""


class LedgerRow(Record):
    """One row of the ledger."""

    phase: str
    """When."""
    component: str
    """What."""
    place: str
    """Where: a matrix, or what is on no tile."""
    energy_J: float
    """Sum over the events."""
    time_s: float
    """Sum over the events, one after the other."""
    count: int
    """Events."""


class BilledRun(SeedRecord):
    """The part that every record of a simulated run has: what was reached, what it cost and what it wore."""

    accuracy: float
    """The problem's score on the test samples: a share of correct ones, or what `score_name` of the result says."""
    trained_values: int
    """Numbers that are trained."""
    cells: int
    """Cells of the chip that hold a weight."""
    cells_written_per_step: float
    """Mean over the steps, without the first programming of an adapter; 0 without steps."""
    adapt_cells_written: int
    """Cell writes of the adaptation, the first programming of a trained adapter included."""
    pool_cells_written: int
    """Cell writes of the pool and other frozen matrices of the method."""
    deploy_cells_written: int
    """Cell writes of the backbone."""
    reprogramming_energy_J: float
    """Everything that programming costs in the adaptation."""
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
    adapt_time_s: float
    """Of all events of the adaptation, one after the other."""
    max_writes_per_cell: int
    """Of the worst cell, deployment included."""
    p99_writes_per_cell: float
    """99th percentile of all cells, deployment included."""
    mean_writes_per_cell: float
    """Of all cells, deployment included."""
    max_task_writes_per_cell: int
    """Of the worst cell in the adaptation."""
    p99_task_writes_per_cell: float
    """99th percentile of all cells in the adaptation."""
    mean_task_writes_per_cell: float
    """Of all cells in the adaptation."""
    gini_of_task_writes: float
    """0: all cells written equally often, towards 1: few take everything."""
    adaptations_until_wearout: int | None
    """Whole adaptations until the worst cell is worn out; None: no cell is written."""
    adaptations_until_wearout_levelled: int | None
    """The bound of ideal wear levelling."""
    inferences: int
    """Samples judged in the phase 'infer'."""


class RunRecord(BilledRun):
    """One seed of an experiment: a chip was deployed, adapted to one task, and used."""

    standard_error: float | None
    """Of the score over the test samples; None for one sample."""
    validation_accuracy: float
    """The score on the validation samples, after the last step."""
    curve: tuple[CurvePoint, ...]
    """The run at some steps of training."""
    loss: tuple[float, ...]
    """The loss of every step."""
    worn_tile: WornTile
    """The tile with the worst cell."""
    ledger: tuple[LedgerRow, ...]
    """Every energy, time and count, by phase, component and place."""


class ResultRecord(Record):
    """An experiment over its seeds: means, but the worst seed for wear."""

    method: str
    """Its name in tables."""
    problem: str
    """Its name."""
    score_name: str
    """What the accuracies are: accuracy, entity F1, perplexity ..."""
    task: str
    """Its name."""
    task_kind: str
    """source, related or unrelated."""
    hardware: str
    """Its name."""
    seeds: tuple[int, ...]
    """One chip each."""
    trained_values: int
    """The same for all seeds."""
    accuracy_mean: float
    """The score on the test samples."""
    accuracy_sd: float
    """Sample standard deviation over the seeds; 0 for one seed."""
    validation_accuracy_mean: float
    """The score on the validation samples."""
    cells_written_per_step: float
    """Mean."""
    adapt_cells_written: float
    """Mean."""
    pool_cells_written: int
    """The same for all seeds."""
    reprogramming_energy_J: float
    """Mean."""
    pool_programming_energy_J: float
    """Mean."""
    total_energy_J: float
    """Mean."""
    energy_by_phase_J: dict[str, float]
    """Mean of each."""
    energy_by_component_J: dict[str, float]
    """Mean of each."""
    adapt_energy_by_component_J: dict[str, float]
    """Mean of each."""
    max_writes_per_cell: int
    """Of the worst seed."""
    max_task_writes_per_cell: int
    """Of the worst seed."""
    p99_writes_per_cell: float
    """Mean."""
    mean_writes_per_cell: float
    """Mean."""
    adaptations_until_wearout: int | None
    """Of the worst seed; None: no cell is written."""


Run = TypeVar("Run", bound=BilledRun)
Writes = Mapping[str, NDArray[np.int64]]
"""Matrix -> writes of each of its cells (planes, rows, columns) in the adaptation alone."""


def record_run(kind: type[Run], chip: Chip, history: History, task_writes: Writes, **own: Any) -> Run:
    """A record of this kind: energy and wear of everything that the chip did, and the kind's own fields."""
    ledger, endurance = chip.ledger, chip.hardware.device.endurance
    writes = wear(chip.writes())
    task = wear(np.concatenate([counts.reshape(-1) for counts in task_writes.values()]))
    return kind(
        cells=writes.cells,
        cells_written_per_step=float(np.mean(history.cells_written or [0])),
        adapt_cells_written=ledger.writes("adapt"),
        pool_cells_written=ledger.writes("pool"),
        deploy_cells_written=ledger.writes("deploy"),
        reprogramming_energy_J=programming_energy(chip),
        pool_programming_energy_J=programming_energy(chip, "pool"),
        total_energy_J=ledger.energy(),
        energy_by_phase_J={group: ledger.energy(group) for group in GROUPS},
        energy_by_component_J=ledger.by_component(),
        adapt_energy_by_component_J=ledger.by_component("adapt"),
        adapt_time_s=ledger.time("adapt"),
        max_writes_per_cell=int(writes.largest),
        p99_writes_per_cell=writes.p99,
        mean_writes_per_cell=writes.mean,
        max_task_writes_per_cell=int(task.largest),
        p99_task_writes_per_cell=task.p99,
        mean_task_writes_per_cell=task.mean,
        gini_of_task_writes=task.gini,
        adaptations_until_wearout=task.adaptations(endurance),
        adaptations_until_wearout_levelled=task.adaptations_levelled(endurance),
        **own,
    )


def worn_tile(chip: Chip, task_writes: Writes) -> WornTile:
    """Writes per cell in this adaptation on the tile whose worst cell was written most (first if none was)."""
    name = max(task_writes, key=lambda candidate: int(task_writes[candidate].max()))
    counts = task_writes[name]
    tile = max(chip.matrices[name].tiles, key=lambda one: int(counts[:, one.inputs, one.plane_columns].max()))
    cells = counts[:, tile.inputs, tile.plane_columns]
    interleaved = cells.transpose(1, 2, 0).reshape(cells.shape[1], -1)
    writes = tuple(map(tuple, interleaved.tolist()))
    return WornTile(tile=tile.name, rows=tile.rows, columns=tile.columns, writes=writes)
