"""What reprogramming costs over a quantity, for several methods at once, by counting; and where two break even."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.estimates.changed_share import ChangedShare
from benchmarks.estimates.counted import Workload
from benchmarks.estimates.estimate import attach_shape, make_method, reprogramming_energy, share_for
from benchmarks.estimates.models import find_shape
from benchmarks.estimates.sensitivity import FACTORS, constants_of, varied
from benchmarks.problems.shapes import ModelShape
from benchmarks.record import Record
from crossbar_sim import DeviceModel, Hardware, SpecError
from crossbar_sim.counting.activity import Activity
from crossbar_sim.hardware.components import PROGRAMMING
from crossbar_sim.spec.spec import nearest
from crossbar_sim.spec.units import engineering
from peft_methods.methods import find_method

METHODS = ("full-fine-tuning", "lora", "lorafusion")
LARGEST_VALUE = 10**9


@dataclass(frozen=True)
class Design:
    """What is counted at one point of an axis. tasks: adaptations, one after the other on one chip."""

    model: str
    shape: ModelShape
    hardware: Hardware
    tasks: int
    steps: int | None = None
    rank: int | None = None


def _number(text: str) -> int:
    try:
        value = int(text)
    except ValueError:
        value = 0
    if not 1 <= value <= LARGEST_VALUE:
        raise SpecError(
            f"--values: '{text:.40}' is no whole number of 1 to {LARGEST_VALUE}; give numbers, for example 1 2 5 10"
        )
    return value


def _tile(design: Design, text: str) -> Design:
    size = _number(text)
    hardware = design.hardware.replace(tile=design.hardware.tile.replace(rows=size, columns=size))
    return dataclasses.replace(design, hardware=hardware)


def _levels(design: Design, text: str) -> Design:
    device = design.hardware.device.replace(levels=_number(text))
    return dataclasses.replace(design, hardware=design.hardware.replace(device=device))


def _device(design: Design, text: str) -> Design:
    return dataclasses.replace(design, hardware=design.hardware.replace(device=DeviceModel.load(text)))


@dataclass(frozen=True)
class Axis:
    """A quantity to go over: what it is called, its usual values, and the design at one of them."""

    label: str
    values: tuple[str, ...]
    at: Callable[[Design, str], Design]


AXES = {
    "tasks": Axis(
        "tasks, one after the other",
        ("1", "2", "3", "5", "10", "20", "30", "50", "100"),
        lambda design, text: dataclasses.replace(design, tasks=_number(text)),
    ),
    "rank": Axis(
        "rank of the LoRA modules",
        ("1", "2", "4", "8"),
        lambda design, text: dataclasses.replace(
            design, rank=_number(text), shape=dataclasses.replace(design.shape, rank=_number(text))
        ),
    ),
    "pool": Axis(
        "modules in the pool",
        ("2", "5", "10", "20", "50"),
        lambda design, text: dataclasses.replace(
            design, shape=dataclasses.replace(design.shape, pool_size=_number(text))
        ),
    ),
    "device": Axis("device", ("milo2021", "wan2022", "falcone2025_2p0"), _device),
    "levels": Axis("levels of a cell", ("2", "3", "5", "9", "17", "33"), _levels),
    "tile": Axis("rows and columns of a tile", ("32", "64", "128", "256", "512"), _tile),
    "steps": Axis(
        "training steps",
        ("10", "30", "75", "200", "1000"),
        lambda design, text: dataclasses.replace(design, steps=_number(text)),
    ),
    "model": Axis(
        "model",
        ("digits-vit", "vit-b-16", "bert-large", "flan-t5-large"),
        lambda design, text: dataclasses.replace(design, model=text, shape=find_shape(text)),
    ),
}
"""What `xbar costs --over` goes over."""


class CostRecord(Record):
    """What a method's reprogramming costs at one value."""

    method: str
    """Its key in METHODS."""
    x: float | str
    """The value."""
    tasks: int
    """Adaptations, one after the other on one chip."""
    reprogramming_energy_J: float
    """Programming of the pool, once, and of every adaptation."""
    reprogramming_energy_range_J: tuple[float, float]
    """The same at both ends of changed_share_range."""
    pool_programming_energy_J: float
    """Of the pool, once."""
    adaptation_energy_J: float
    """Programming of one adaptation."""
    changed_share: float
    """Of the trained cells, per step."""
    changed_share_range: tuple[float, float]
    """Smallest and largest that were measured."""
    cells_written: float
    """Of the pool, once, and of every adaptation."""
    max_writes_per_cell: int
    """At most, deployment included."""
    sram_bytes: int
    """Trained values, frozen matrices and tables of one task."""
    tiles: int
    """All tiles in use."""


class BreakEvenRecord(Record):
    """After how many tasks one method's pool has paid for itself against another method."""

    model: str
    """On which model."""
    first: str
    """The method with the dearer start."""
    second: str
    """The method with the dearer adaptation."""
    break_even_tasks: float | None
    """Tasks at which both have cost the same; None: the first never catches up."""
    changed_share_range: tuple[float | None, float | None]
    """The same at the largest and at the smallest changed share that was measured."""
    assumed_range: tuple[float | None, float | None]
    """The least and the most with any assumed number of the design halved or doubled; None: it never breaks even."""
    moves_most: str | None
    """The assumed number that moves it most."""


class CostsRecord(Record):
    """Everything that `xbar costs` found."""

    over: str
    """What x is."""
    hardware: str
    """As designed."""
    records: tuple[CostRecord, ...]
    """One per method and value."""
    break_even: tuple[BreakEvenRecord, ...]
    """One per pair of methods."""


@dataclass(frozen=True)
class Bill:
    """Joule of the pool, once, and of one adaptation at the middle and the ends of the changed share; counts."""

    pool: float
    adaptation: float
    low: float
    high: float
    share: ChangedShare
    pool_cells: int
    adaptation_cells: float
    writes: int
    sram: int
    tiles: int


@dataclass(frozen=True)
class Costs:
    """Records over one axis, and the break-even of every pair."""

    axis: Axis
    found: CostsRecord

    def __str__(self) -> str:
        lines = [f"{'method':<20}{self.found.over:>16}{'reprogramming':>16}{'of it pool':>14}{'cells written':>16}"]
        lines += [
            f"{r.method:<20}{r.x!s:>16}{engineering(r.reprogramming_energy_J, 'J'):>16}"
            f"{engineering(r.pool_programming_energy_J, 'J'):>14}{r.cells_written:>16,.0f}"
            for r in self.found.records
        ]
        for pair in self.found.break_even:
            shares, assumed = (_range(ends) for ends in (pair.changed_share_range, pair.assumed_range))
            lines.append(
                f"{pair.model}: {pair.first} breaks even with {pair.second} after "
                f"{_tasks(pair.break_even_tasks)} tasks ({shares} by the measured shares; {assumed} by assumed numbers"
                + (f", most by {pair.moves_most})" if pair.moves_most else ")")
            )
        return "\n".join(lines)


def costs(
    over: str = "tasks",
    methods: Sequence[str] = METHODS,
    values: Sequence[str] = (),
    *,
    model: str = "digits-vit",
    hardware: str | Path | Hardware = "milo2021_128x128",
    tasks: int = 1,
    changed_share: float | None = None,
) -> Costs:
    """What reprogramming costs at every value of AXES[over]: the pool once, and N times the adaptation.

    values: of the axis (none: its usual ones); tasks: adaptations, unless they are the axis; changed_share: None: as
    measured. Only what is programmed is counted: the model itself never runs. Raises SpecError for what does not exist.
    """
    if over not in AXES:
        raise SpecError(f"no axis '{over}'{nearest(over, list(AXES))}")
    if not 1 <= tasks <= LARGEST_VALUE:
        raise SpecError(f"tasks: {tasks!r:.40} adaptations of a chip cannot be; give 1 to {LARGEST_VALUE}")
    for method in methods:
        find_method(method)
    activity = None if changed_share is None else Activity(changed_share=changed_share)
    axis, design = AXES[over], hardware if isinstance(hardware, Hardware) else Hardware.load(hardware)
    base = Design(model, find_shape(model), design, tasks)
    bills: dict[tuple[object, ...], Bill] = {}

    def bill(method: str, at: Design) -> Bill:
        key = method, at.model, at.hardware.digest(), at.steps, at.rank, at.shape.pool_size
        if key not in bills:
            bills[key] = count(method, at, activity)
        return bills[key]

    records = []
    for method in methods:
        for text in values or axis.values:
            at = axis.at(base, text)
            records.append(_record(method, text, at, bill(method, at)))
    pairs = [
        pair
        for one in (dict.fromkeys(axis.at(base, text).model for text in values or axis.values))
        for pair in _pairs(methods, base if one == model else axis.at(base, one), bill)
    ]
    return Costs(axis, CostsRecord(over=over, hardware=design.name, records=tuple(records), break_even=tuple(pairs)))


def count(method: str, at: Design, activity: Activity | None = None) -> Bill:
    """What a method programs, once and per adaptation."""
    ranked = at.rank is not None and "rank" in find_method(method).model_fields
    made = make_method(at.shape, method, {"rank": at.rank} if ranked else {})
    workload = Workload(steps=at.steps, calibration=0, inferences=0)
    share = share_for(made, workload, activity)
    counted = attach_shape(
        at.shape, made, at.hardware, workload, (activity or Activity()).replace(changed_share=share.share)
    )
    ledger = counted.chip.ledger
    middle, low, high = (reprogramming_energy(counted, one, 0.0) for one in (share.share, share.low, share.high))
    return Bill(
        pool=ledger.energy("pool", PROGRAMMING),
        adaptation=middle,
        low=low,
        high=high,
        share=share,
        pool_cells=ledger.writes("pool"),
        adaptation_cells=ledger.writes("adapt") + share.share * counted.trained_cells * counted.steps,
        writes=counted.steps if counted.trained_cells else 0,
        sram=sum(counted.sram_bytes.values()),
        tiles=counted.tiles,
    )


def _record(method: str, text: str, at: Design, bill: Bill) -> CostRecord:
    return CostRecord(
        method=method,
        x=float(text) if text.isdecimal() else text,
        tasks=at.tasks,
        reprogramming_energy_J=bill.pool + at.tasks * bill.adaptation,
        reprogramming_energy_range_J=(bill.pool + at.tasks * bill.low, bill.pool + at.tasks * bill.high),
        pool_programming_energy_J=bill.pool,
        adaptation_energy_J=bill.adaptation,
        changed_share=bill.share.share,
        changed_share_range=(bill.share.low, bill.share.high),
        cells_written=bill.pool_cells + at.tasks * bill.adaptation_cells,
        max_writes_per_cell=1 + at.tasks * bill.writes,
        sram_bytes=bill.sram,
        tiles=bill.tiles,
    )


def break_even(pool: float, adaptation: float, other_pool: float, other_adaptation: float) -> float | None:
    """N at which pool + N adaptation = other_pool + N other_adaptation, joule; None: not after any positive number."""
    dearer, saved = pool - other_pool, other_adaptation - adaptation
    return dearer / saved if dearer > 0 and saved > 0 else None


def _pairs(methods: Sequence[str], at: Design, bill: Callable[[str, Design], Bill]) -> list[BreakEvenRecord]:
    """Every pair in which one has the dearer pool."""
    found = []
    usual = {name: bill(name, at) for name in methods}
    designs = []
    for constant in constants_of(at.hardware):
        if constant.part in ("device", "tile", "adc"):
            for factor in FACTORS:
                try:
                    changed = varied(at.hardware, constant, factor)
                except SpecError:  # no such design
                    continue
                designs.append((f"{constant.part}.{constant.name}", dataclasses.replace(at, hardware=changed)))
    for first in methods:
        for second in methods:
            one, other = usual[first], usual[second]
            if one.pool <= other.pool or (one.adaptation == other.adaptation == 0.0):
                continue
            middle = break_even(one.pool, one.adaptation, other.pool, other.adaptation)
            ends = [
                break_even(one.pool, one.high, other.pool, other.high),
                break_even(one.pool, one.low, other.pool, other.low),
            ]
            moved: list[tuple[str, float | None]] = []
            for name, design in designs:
                here, there = bill(first, design), bill(second, design)
                moved.append((name, break_even(here.pool, here.adaptation, there.pool, there.adaptation)))
            known = [tasks for _, tasks in moved if tasks is not None] + ([] if middle is None else [middle])
            never = any(tasks is None for _, tasks in moved) or middle is None
            most = max(
                moved, key=lambda case: float("inf") if case[1] is None else abs(case[1] - (middle or 0)), default=None
            )
            found.append(
                BreakEvenRecord(
                    model=at.model,
                    first=first,
                    second=second,
                    break_even_tasks=middle,
                    changed_share_range=(ends[0], ends[1]),
                    assumed_range=(min(known, default=None), None if never else max(known)),
                    moves_most=None if most is None or most[1] == middle else most[0],
                )
            )
    return found


def _tasks(value: float | None) -> str:
    return "never" if value is None else f"{value:.3g}"


def _range(ends: tuple[float | None, float | None]) -> str:
    return f"{_tasks(ends[0])} to {_tasks(ends[1])}"
