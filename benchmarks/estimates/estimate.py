"""Estimate: what a method costs on a model that is too large to simulate, as one record."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.estimates.changed_share import ChangedShare, changed_share
from benchmarks.estimates.counted import Counted, Sample, Workload, attach, run
from benchmarks.estimates.models import find_shape
from benchmarks.estimates.record import EstimateRecord
from benchmarks.problems.shapes import EncoderShape, ModelShape, pool_shape
from crossbar_sim import Hardware, SpecError
from crossbar_sim.chip.counted import CountedMatrix
from crossbar_sim.counting.activity import Activity
from crossbar_sim.hardware.components import PROGRAMMING
from crossbar_sim.ledger.datasheet import datasheet
from crossbar_sim.ledger.pipeline import pipeline
from peft_methods import METHODS, LinearProbe, LoRA, Method, Pool
from peft_methods.methods import find_method
from peft_methods.methods.pooled import with_pool
from peft_methods.model_parts import linear_layers, weight_of
from peft_methods.phases import GROUPS, PHASES

AREA_NOTE = "tiles in use, each with its share of the chip"
NO_AREA = "the hardware states no areas"


def make_method(shape: ModelShape, method: str, settings: Mapping[str, Any] | None = None) -> Method:
    """The method with the settings that its paper uses for this model, changed by `settings`."""
    kind = find_method(method)
    usual: dict[str, Any] = {"rank": shape.rank, "alpha": shape.alpha}
    if shape.targets is not None:
        usual["targets"] = shape.targets
    own = {key: value for key, value in usual.items() if key in kind.model_fields}
    return kind(**{**own, **shape.settings.get(method, {}), **(settings or {})})


def placed(method: str, placement: str | None) -> dict[str, str]:
    """The setting that puts trained matrices there (None: no setting); SpecError for a method without the choice."""
    if placement is None:
        return {}
    if "placement" not in find_method(method).model_fields:
        choices = [name for name, kind in METHODS.items() if "placement" in kind.model_fields]
        raise SpecError(f"{method} has no placement to choose; {', '.join(choices)} have")
    return {"placement": placement}


def attach_shape(
    shape: ModelShape,
    method: Method,
    hardware: Hardware,
    workload: Workload | None = None,
    activity: Activity | None = None,
) -> Counted:
    """`attach` for a model of benchmarks.problems.shapes."""
    network = shape.build()
    if isinstance(method, LinearProbe) and isinstance(network, EncoderShape):
        network.add_head((workload or Workload()).classes)

    def make_pool() -> Pool:
        targets = LoRA(targets=shape.targets).named(network, "targets", "updates") or None
        layers = linear_layers(network, targets)
        sizes = {name: (weight_of(layer).shape[0], weight_of(layer).shape[1]) for name, layer in layers.items()}
        return pool_shape(sizes, shape)

    method = with_pool(method, make_pool)
    sample = sampler(shape, workload)
    return attach(network, method, hardware, sample, workload=workload, activity=activity, digital=shape.digital)


def count_shape(
    shape: ModelShape,
    method: Method,
    hardware: Hardware,
    workload: Workload | None = None,
    activity: Activity | None = None,
) -> Counted:
    """`count` for a model of benchmarks.problems.shapes."""
    counted = attach_shape(shape, method, hardware, workload, activity)
    run(counted, sampler(shape, workload))
    return counted


def sampler(shape: ModelShape, workload: Workload | None) -> Sample:
    """The model's input for n samples of the workload's tokens."""
    tokens = (workload.tokens if workload is not None else None) or shape.tokens
    return partial(shape.sample, tokens=tokens)


def estimate(
    model: str,
    method: str,
    hardware: str | Path | Hardware,
    settings: Mapping[str, Any] | None = None,
    *,
    workload: Workload | None = None,
    activity: Activity | None = None,
) -> EstimateRecord:
    """The bill of a method on a model that is too large to simulate, as one record.

    model: whatever `models.find_shape` takes; method: a key of METHODS; hardware: a name, TOML path
    or Hardware; settings: of the method, in place of those that the model's shape brings along. Without a changed_share
    in `activity` it is the one that was measured for the method (`changed_share.changed_share`).
    """
    shape = find_shape(model)
    design = hardware if isinstance(hardware, Hardware) else Hardware.load(hardware)
    made = make_method(shape, method, settings)
    share = share_for(made, workload, activity)
    activity = (Activity() if activity is None else activity).replace(changed_share=share.share)
    return record_of(count_shape(shape, made, design, workload, activity), model, method, share)


def share_for(method: Method, workload: Workload | None, activity: Activity | None) -> ChangedShare:
    """The share of the trained cells that a step rewrites: what `activity` states, else what was measured."""
    stated = activity is not None and "changed_share" in activity.model_fields_set
    steps = (None if workload is None else workload.steps) or method.steps
    return changed_share(method, steps, activity.changed_share if activity is not None and stated else None)


def record_of(counted: Counted, model: str, method: str, share: ChangedShare | None = None) -> EstimateRecord:
    """What was counted, as one flat record; `model` and `method` are how they were called, `share` is what `counted`
    was made with; None: what its activity states."""
    chip = counted.chip
    if share is None:
        share = changed_share(counted.adapter.method, counted.steps, chip.activity.changed_share)
    ledger = chip.ledger
    sram = counted.sram_bytes
    rows = ledger.rows()
    reads = {
        phase: sum(row["count"] for row in rows if (row["phase"], row["component"]) == (phase, "cell reads"))
        for phase in PHASES
    }
    samples = counted.workload.inferences
    stages = pipeline(ledger, samples) if samples else None
    area = area_of(counted)
    at_low, at_high, at_bound = (reprogramming_energy(counted, one) for one in (share.low, share.high, 1.0))
    return EstimateRecord(
        model=model,
        method=method,
        hardware=chip.hardware.name,
        trained_values=counted.trained_values,
        backbone_weights=counted.backbone_weights,
        tiles=counted.tiles,
        backbone_cells=counted.backbone_cells,
        pool_cells=counted.pool_cells,
        trained_cells=counted.trained_cells,
        steps=counted.steps,
        batch=counted.batch,
        changed_share=chip.activity.changed_share,
        changed_share_range=(share.low, share.high),
        changed_share_source=share.source,
        cells_written_per_step=counted.cells_per_step,
        max_writes_per_cell=1 + (counted.steps if counted.trained_cells and chip.activity.changed_share else 0),
        reprogramming_energy_J=ledger.energy("adapt", PROGRAMMING),
        reprogramming_energy_range_J=(at_low, at_high),
        reprogramming_energy_bound_J=at_bound,
        pool_programming_energy_J=ledger.energy("pool", PROGRAMMING),
        total_energy_J=ledger.energy(),
        energy_by_phase_J={group: ledger.energy(group) for group in GROUPS},
        energy_by_component_J=ledger.by_component(),
        adapt_energy_by_component_J=ledger.by_component("adapt"),
        latency_s=ledger.time(),
        latency_by_phase_s={group: ledger.time(group) for group in GROUPS},
        inference_latency_s=None if stages is None else stages.latency,
        pipelined_interval_s=None if stages is None else stages.interval,
        pipelined_slowest=None if stages is None else stages.slowest,
        reads_by_phase=reads,
        sram_bytes=sum(sram.values()),
        sram_bytes_by_use=sram,
        area_m2=area,
        area_note=NO_AREA if area is None else AREA_NOTE,
    )


def reprogramming_energy(counted: Counted, share: float, used: float | None = None) -> float:
    """Joule that programming would cost in the adaptation if each step rewrote this share of the trained cells.

    used: the share that its steps are billed with (None: that of the activity; 0: no step is billed)."""
    matrices, steps = counted.adapter.matrices, counted.steps
    counted_ones = [matrix for matrix in matrices if isinstance(matrix, CountedMatrix)]
    used = counted.chip.activity.changed_share if used is None else used
    rewriting = math.fsum(m.rewriting_energy(share, steps) - m.rewriting_energy(used, steps) for m in counted_ones)
    return max(counted.chip.ledger.energy("adapt", PROGRAMMING) + rewriting, 0.0)


def area_of(counted: Counted) -> float | None:
    """Square metres of the tiles in use, each with its share of everything around it; None if the design states no
    areas."""
    hardware = {id(m.hardware): m.hardware for m in counted.matrices.values()}
    tiles = {key: sum(m.tile_count for m in counted.matrices.values() if id(m.hardware) == key) for key in hardware}
    sheets = {key: datasheet(design).levels[-1] for key, design in hardware.items()}
    if not all(sheet.area for sheet in sheets.values()):
        return None
    return sum(count * sheets[key].area / sheets[key].arrays for key, count in tiles.items())
