"""The counted bill against the ledger of a simulation of the same run, for every method."""

from __future__ import annotations

import copy
import math
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from benchmarks.estimates.counted import Counted, Workload, count
from crossbar_sim import Chip, Hardware, map_model
from crossbar_sim.cells.written import Written
from crossbar_sim.chip.simulated import SimulatedMatrix
from crossbar_sim.counting.activity import Activity
from crossbar_sim.hardware.components import DIGITAL, PROGRAMMING
from crossbar_sim.ledger.ledger import Ledger
from peft_methods import METHODS, Method, accuracy, fine_tune
from peft_methods.methods.gradient_free import GradientFree
from peft_methods.methods.pooled import with_pool
from peft_methods.phases import PHASES
from tests.conftest import tiny_pool, tiny_transformer

STEPS, BATCH, SAMPLES, INFERENCES = 4, 6, 12, 9
EXACT = ("DAC", "ADC", "shift-add", "SRAM", "arithmetic")
CASES: list[tuple[str, dict[str, Any]]] = [
    ("full-fine-tuning", {}),
    ("linear-probe", {}),
    ("bitfit", {}),
    ("lora", {"rank": 2}),
    ("lora", {"rank": 2, "placement": "sram"}),
    ("lora-fa", {"rank": 2}),
    ("dora", {"rank": 2}),
    ("vera", {"rank": 3}),
    ("wegeft", {"rank": 2}),
    ("ia3", {}),
    ("adapters", {"rank": 2}),
    ("vpt", {"prompts": 2}),
    ("vpt", {"prompts": 2, "deep": False}),
    ("pasta", {}),
    ("lorahub", {}),
    ("lorafusion", {}),
    ("lorafusion", {"magnitude": "none", "fusion": "modules"}),
    ("lorafusion", {"magnitude": "gain"}),
    ("lorafusion", {"norms": "reads"}),
    ("frozen", {}),
]


@dataclass
class Watched:
    """Level changes of every write, by ledger phase; fresh cells come from level None."""

    hardware: Hardware
    first: dict[str, Counter[int]] = field(default_factory=dict)
    again: Counter[tuple[int, int]] = field(default_factory=Counter)

    def level(self, conductance: NDArray[np.float64]) -> NDArray[np.int64]:
        device = self.hardware.device
        assert device.levels is not None
        return np.rint((conductance - device.g_min) / device.window * (device.levels - 1)).astype(np.int64)

    def program(self, matrix: SimulatedMatrix, original: Any) -> Written:
        before = matrix.targets.target.copy().reshape(-1)
        result: Written = original(matrix)
        after, cells = matrix.targets.target.reshape(-1), result.cells
        is_fresh = np.isnan(before[cells])
        counts = self.first.setdefault(matrix.ledger.current_phase, Counter())
        counts.update(self.level(after[cells[is_fresh]]).tolist())
        rewritten = cells[~is_fresh]
        self.again.update(zip(self.level(before[rewritten]), self.level(after[rewritten]), strict=True))
        return result

    def activity(self, chip: Chip, trained_cells: int) -> Activity:
        device = self.hardware.device
        rewrites = self.again.total()
        levels = {
            phase: tuple(counts[level] / counts.total() for level in range(device.levels or 0))
            for phase, counts in self.first.items()
            if counts
        }
        return Activity(
            changed_share=rewrites / (STEPS * trained_cells) if trained_cells else 0.0,
            levels={phase: shares for phase, shares in levels.items() if phase != "deploy"},
            changes=tuple((a, b, n / rewrites) for (a, b), n in self.again.items()) if rewrites else None,
        )


def drive(chip: Chip, counted: Counted, back: bool) -> float:
    """Squared drives of a simulation per vector and input, weighted with the conductance that the estimate counts."""
    device, matrices = chip.hardware.device, counted.matrices
    rows = [row for row in chip.ledger.rows() if row["component"] == "cell reads"]
    rows = [row for row in rows if (row["phase"] == "adapt/backward") == back]
    full = sum(row["count"] * matrices[row["place"]].conductance for row in rows)
    return sum(row["energy_J"] for row in rows) / (device.read_voltage**2 * device.read_time * full) if full else 0.0


def simulate(method: Method, hardware: Hardware, monkeypatch: pytest.MonkeyPatch) -> tuple[Chip, Watched, int]:
    model, watched, original = tiny_transformer(), Watched(hardware), SimulatedMatrix.program
    monkeypatch.setattr(SimulatedMatrix, "program", lambda matrix: watched.program(matrix, original))
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(SAMPLES, 4, 4, generator=generator)
    labels = torch.arange(SAMPLES) % 3
    method = with_pool(method, lambda: tiny_pool(model))
    chip = map_model(model, hardware)
    with torch.no_grad(), chip.ledger.phase("deploy"):
        model.train()(images)
    adapter = method.attach(model, chip)
    fine_tune(model, adapter, images, labels)
    accuracy(model, images[:INFERENCES], labels[:INFERENCES], chip)
    monkeypatch.undo()
    return chip, watched, sum(matrix.cells.writes.size for matrix in adapter.matrices)


def counted_bill(method: Method, hardware: Hardware, activity: Activity) -> Counted:
    model = tiny_transformer()
    method = with_pool(method, lambda: tiny_pool(copy.deepcopy(model)))
    workload = Workload(train_samples=SAMPLES, calibration=SAMPLES, inferences=INFERENCES)
    return count(
        model,
        method,
        hardware,
        lambda n: torch.empty(n, 4, 4, device="meta"),
        workload=workload,
        activity=activity,
    )


def digital_time(ledger: Ledger, phase: str) -> float:
    """Seconds of the digital unit in a phase."""
    entries = ledger.by("phase", "component").items()
    return math.fsum(entry.time for (at, component), entry in entries if at == phase and component in DIGITAL)


@pytest.mark.parametrize(("name", "settings"), CASES, ids=[f"{n} {s or ''}" for n, s in CASES])
def test_every_method(name: str, settings: dict[str, Any], milo: Hardware, monkeypatch: pytest.MonkeyPatch) -> None:
    trained = {} if name == "frozen" else {"learning_rate": 0.02, "steps": STEPS, "batch_size": BATCH}
    method = METHODS[name](**{**trained, **settings})
    chip, watched, trained_cells = simulate(method, milo, monkeypatch)
    activity = watched.activity(chip, trained_cells)
    rough = counted_bill(method, milo, activity)
    activity = activity.replace(drive=drive(chip, rough, False), transposed_drive=drive(chip, rough, True))
    counted = counted_bill(method, milo, activity)
    simulated, ledger = chip.ledger, counted.chip.ledger
    for phase in PHASES:
        ours, theirs = ledger.by_component(phase), simulated.by_component(phase)
        for component in EXACT:
            assert ours[component] == pytest.approx(theirs[component], rel=1e-9), (phase, component)
        assert digital_time(ledger, phase) == pytest.approx(digital_time(simulated, phase), rel=1e-9), phase
        programming = [sum(bill[component] for component in PROGRAMMING) for bill in (ours, theirs)]
        assert programming[0] == pytest.approx(programming[1], rel=0.01), phase
    assert digital_time(ledger, "infer") > 0
    assert ledger.energy() == pytest.approx(simulated.energy(), rel=0.01)
    assert ledger.energy(None, ("cell reads",)) == pytest.approx(simulated.energy(None, ("cell reads",)), rel=0.01)
    assert ledger.writes() == pytest.approx(simulated.writes(), abs=len(counted.matrices))
    assert ledger.writes("deploy") == simulated.writes("deploy") and ledger.writes("pool") == simulated.writes("pool")
    for phase in ("deploy", "pool", "infer"):
        assert ledger.time(phase) == pytest.approx(simulated.time(phase), rel=0.15), phase
    # rows wait for their slowest cell, and in small matrices the cells that change are not spread evenly
    assert ledger.time("adapt") == pytest.approx(simulated.time("adapt"), rel=0.35)
    assert (counted.adapter.trained_values > 0) == (name != "frozen")
    assert isinstance(method, GradientFree) == (name == "lorahub")
