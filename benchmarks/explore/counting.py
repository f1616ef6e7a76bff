"""What counting knows of a design: its bill, and what the datasheet of its chip says; one small file each."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks.estimates.counted import Workload
from benchmarks.estimates.estimate import area_of, count_shape, share_for
from benchmarks.estimates.models import shape_of_problem
from benchmarks.experiments.experiment import Experiment
from benchmarks.experiments.record import FORMAT
from benchmarks.experiments.storage import SeedFiles, folder_of
from benchmarks.problems.pools import pool_digest, with_folder
from benchmarks.record import Record, SeedRecord
from crossbar_sim import CrossbarError
from crossbar_sim.counting.activity import Activity
from crossbar_sim.hardware.components import PROGRAMMING
from crossbar_sim.ledger.datasheet import datasheet
from crossbar_sim.ledger.pipeline import pipeline
from crossbar_sim.spec.errors import FileError

EXPLORED = 1
"""Version of the records of designs: a part of the name of their folder. Raise it when the same design gives other
numbers."""


class CountedDesign(Record):
    """What counting knows of a design; None: the design does not state it, or nobody asked."""

    total_energy_J: float | None = None
    """Deployment, pool, adaptation, and inference of the test samples."""
    adaptation_energy_J: float | None = None
    """Of one adaptation, reads and digital work included."""
    reprogramming_energy_J: float | None = None
    """Everything that programming costs in the adaptation."""
    pool_programming_energy_J: float | None = None
    """The same for the pool, once."""
    inference_energy_J: float | None = None
    """Of one inference."""
    adaptation_time_s: float | None = None
    """Of all events of the adaptation, one after the other."""
    inference_latency_s: float | None = None
    """Of one inference, its matrices one after the other."""
    pipelined_interval_s: float | None = None
    """Time per inference with the matrices in a pipeline."""
    area_m2: float | None = None
    """Of the tiles in use, each with its share of the chip."""
    tiles: int | None = None
    """All tiles in use."""
    sram_bytes: int | None = None
    """Trained values with optimizer state, frozen matrices in SRAM, and what the method keeps beside."""
    trained_values: int | None = None
    """Numbers that are trained."""
    trained_cells: int | None = None
    """Cells that training may rewrite."""
    chip_area_m2: float | None = None
    """Of everything that the design describes."""
    chip_power_W: float | None = None
    """The same, all arrays reading without pause."""
    chip_operations_per_s: float | None = None
    """The same; one multiply-accumulate is two operations."""
    chip_operations_per_J: float | None = None
    """Operations per second and watt."""
    chip_operations_per_s_and_m2: float | None = None
    """Operations per second and square metre."""
    array_operations_per_J: float | None = None
    """Operations and joule of one vector on one full array, the circuits around it included."""


OF_THE_CHIP = frozenset(name for name in CountedDesign.model_fields if name.startswith(("chip_", "array_")))
"""What the datasheet of the chip says, whatever runs on it."""


class CountedSeed(SeedRecord):
    """The bill of one design, which no seed changes."""

    counted: CountedDesign | None
    """None: refused."""
    refused: str | None
    """What was refused, in a sentence."""
    processor_s: float
    """Processor seconds of making it."""


@dataclass(frozen=True)
class CountTask:
    """The bill of a design; chip_only: what the datasheet of its chip says, and nothing of the experiment."""

    experiment: Experiment
    digest: str
    chip_only: bool
    runs: Path

    @property
    def files(self) -> SeedFiles[CountedSeed]:
        """Where it is kept, whatever exploration asks for it."""
        one = self.experiment
        if self.chip_only:
            return SeedFiles(folder_of(self.runs, "chip", self.digest, EXPLORED), CountedSeed)
        data = one.problem.digest(one.problem.task(one.task))
        pool = pool_digest(one.method, one.pool_folder)
        return SeedFiles(folder_of(self.runs, "counted", self.digest, data, pool, FORMAT, EXPLORED), CountedSeed)

    @property
    def folder(self) -> Path:
        """Of its file."""
        return self.files.folder

    def stored(self) -> CountedSeed | None:
        """The record, if it is on disk."""
        return self.files.stored(0)

    def make(self) -> CountedSeed:
        """The record, from its file if it is there; what is refused is a record too."""
        return self.files.record(0, self.now)

    def now(self) -> CountedSeed:
        """The same, whatever is on disk."""
        begun = time.process_time()
        counted: CountedDesign | None = None
        refused: str | None = None
        try:
            counted = count_design(self.experiment, chip_only=self.chip_only)
        except FileError:
            raise
        except CrossbarError as error:
            refused = str(error)
        return CountedSeed(seed=0, counted=counted, refused=refused, processor_s=time.process_time() - begun)


def count_design(experiment: Experiment, *, chip_only: bool = False) -> CountedDesign:
    """The bill of a design by counting; chip_only: what the datasheet of its chip says, and nothing of the experiment.

    Raises what the method and the chip refuse.
    """
    sheet = datasheet(experiment.hardware)
    top = sheet.levels[-1]
    chip = {
        "chip_area_m2": top.area or None,
        "chip_power_W": top.power,
        "chip_operations_per_s": top.operations_per_second,
        "chip_operations_per_J": top.operations_per_second / top.power if top.power else None,
        "chip_operations_per_s_and_m2": top.operations_per_second / top.area if top.area else None,
        "array_operations_per_J": sheet.mvm_operations / sheet.energy(top.level),
    }
    if chip_only:
        return CountedDesign(**chip)
    problem = experiment.problem
    data = problem.task(experiment.task).data(experiment.shots_per_class, 0)
    method = with_folder(experiment.method, experiment.pool_folder)
    workload = Workload(inferences=len(data.test))
    share = share_for(method, workload, None)
    counted = count_shape(
        shape_of_problem(problem, experiment.task, experiment.shots_per_class),
        method,
        experiment.hardware,
        workload,
        Activity(changed_share=share.share),
    )
    ledger = counted.chip.ledger
    stages = pipeline(ledger, len(data.test))
    return CountedDesign(
        total_energy_J=ledger.energy(),
        adaptation_energy_J=ledger.energy("adapt"),
        reprogramming_energy_J=ledger.energy("adapt", PROGRAMMING),
        pool_programming_energy_J=ledger.energy("pool", PROGRAMMING),
        inference_energy_J=ledger.energy("infer") / len(data.test),
        adaptation_time_s=ledger.time("adapt"),
        inference_latency_s=stages.latency,
        pipelined_interval_s=stages.interval,
        area_m2=area_of(counted),
        tiles=counted.tiles,
        sram_bytes=sum(counted.sram_bytes.values()),
        trained_values=counted.trained_values,
        trained_cells=counted.trained_cells,
        **chip,
    )
