"""How updates reach the cells: blind pulses against a slow twin, and what every update rule promises."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from crossbar_sim import DeviceModel, Hardware, MappingError, SpecError, map_model
from crossbar_sim.cells.cells import Cells
from crossbar_sim.chip.chip import Chip
from crossbar_sim.chip.counted import CountedChip
from crossbar_sim.chip.simulated import SimulatedMatrix
from crossbar_sim.mapping.pulsing import pulsed_cells
from crossbar_sim.runtime.counter_random import stream_key
from peft_methods import (
    RULES,
    BitFit,
    Bottleneck,
    DoRA,
    FullFineTuning,
    LoRA,
    Method,
    MixedPrecision,
    OpenLoopPulses,
    SignPulses,
    StochasticPulses,
    WriteVerify,
    fine_tune,
)
from peft_methods.updates.base import ADAMW, UpdateRule
from tests import ROOT, one_of_each
from tests.conftest import tiny_net

KEY = stream_key(0, "test")
EVERY_RULE = [
    WriteVerify(),
    WriteVerify(every=2),
    WriteVerify(threshold=0.05),
    SignPulses(),
    OpenLoopPulses(),
    OpenLoopPulses(rounding="nearest"),
    MixedPrecision(),
    MixedPrecision(granularity=3),
    StochasticPulses(learning_rate=0.1),
    StochasticPulses(learning_rate=0.1, bits=3),
]
rules = pytest.mark.parametrize("rule", EVERY_RULE, ids=str)


def quiet(device: DeviceModel) -> DeviceModel:
    return device.replace(cycle_to_cycle=0.0, cycle_to_cycle_window=None, device_to_device=None)


def naive_pulses(device: DeviceModel, g: float, count: int) -> tuple[float, float]:
    """Conductance and joule after |count| pulses without spread: one after the other, along the published curve."""
    energy = 0.0
    grid = np.linspace(0.0, device.full_swing_pulses if count > 0 else device.reset_pulses_full_swing, 100_001)
    curve = device.response(grid, reset=count < 0)
    for _ in range(abs(count)):
        at = np.interp(g, curve, grid) if count > 0 else np.interp(-g, -curve, grid)
        after = float(np.interp(at + 1, grid, curve))
        voltage, width = (
            (device.set_voltage, device.pulse_width) if count > 0 else (device.reset_voltage, device.reset_width)
        )
        mean = (g + after) / 2
        current = voltage * mean / (1 + mean * device.access_resistance)
        if count > 0 and device.set_compliance_voltage is not None:
            current = min(current, device.set_compliance_voltage * mean)
        energy += voltage * current * width
        g = after
    return g, energy


@pytest.mark.parametrize("name", ["milo2021", "wu2018", "park2013"])
@pytest.mark.parametrize("count", [1, 7, -1, -9, 600])
def test_blind_pulses_follow_the_published_curve(name: str, count: int) -> None:
    device = quiet(DeviceModel.load(name))
    crossbar = Cells(device, (3,), KEY)
    crossbar.conductance[:] = device.g_min + 0.4 * device.window
    result = crossbar.pulse(np.array([1]), np.array([count]))
    expected, energy = naive_pulses(device, device.g_min + 0.4 * device.window, count)
    assert result.achieved[0] == crossbar.conductance[1] == pytest.approx(expected, rel=1e-4)
    assert result.energy[0] == pytest.approx(energy, rel=1e-4)
    assert (crossbar.conductance[[0, 2]] == device.g_min + 0.4 * device.window).all()
    assert crossbar.writes.tolist() == [0, 1, 0] and crossbar.pulses.tolist() == [0, abs(count), 0]
    assert device.g_min <= result.achieved[0] <= device.g_max and result.verify_reads[0] == 0


def test_the_spread_of_blind_pulses_is_the_device_s() -> None:
    """n pulses of relative spread s: mean n steps, standard deviation s sqrt(n) steps; within 4 standard errors."""
    device = DeviceModel.load("milo2021")
    crossbar, cells = Cells(device, (20_000,), KEY), np.arange(20_000)
    moved = crossbar.pulse(cells, np.full(20_000, 9)).achieved - device.g_min
    step, spread = device.pulse_step, device.cycle_to_cycle
    assert abs(moved.mean() - 9 * step) < 4 * spread * 3 * step / np.sqrt(20_000) + 1e-3 * step
    assert moved.std() == pytest.approx(3 * spread * step, rel=4 / np.sqrt(2 * 20_000))
    again = Cells(device, (20_000,), KEY)
    assert (again.pulse(cells[::-1].copy(), np.full(20_000, 9)).achieved[::-1] == moved + device.g_min).all()


def test_stuck_cells_take_their_pulses_and_stay() -> None:
    device = DeviceModel.load("milo2021").replace(stuck_at_lrs=1.0)
    crossbar = Cells(device, (4,), KEY)
    result = crossbar.pulse(np.arange(4), np.full(4, -5))
    assert (crossbar.conductance == device.g_max).all() and (crossbar.pulses == 5).all() and (result.energy > 0).all()


@pytest.mark.parametrize("counts", [[0], [1501], [1, 1]])
def test_trains_that_are_not_pulses_are_refused(counts: list[int]) -> None:
    with pytest.raises(MappingError, match="one number of pulses per cell"):
        Cells(DeviceModel.load("milo2021"), (2,), KEY).pulse(np.array([0]), np.array(counts))


@given(
    st.lists(st.tuples(st.floats(-1, 1), st.integers(-20, 20)), min_size=1, max_size=6),
)
def test_pulses_move_every_weight_the_right_way(pairs: list[tuple[float, int]]) -> None:
    device = quiet(DeviceModel.load("milo2021"))
    weight = np.array([[w for w, _ in pairs]])
    conductance = np.empty((2, len(pairs), 1))
    conductance[0], conductance[1] = (device.g_min + device.window * np.maximum(s * weight.T, 0) for s in (1, -1))
    crossbar = Cells(device, conductance.shape, KEY)
    crossbar.conductance[:] = conductance
    pulses = np.array([[n for _, n in pairs]])
    cells, counts = pulsed_cells(pulses, conductance, device)
    crossbar.pulse(cells, counts)
    after = ((crossbar.conductance[0] - crossbar.conductance[1]) / device.window).T
    step = device.pulse_step / device.window
    assert (np.sign(pulses) * (after - weight) >= -1e-6).all()
    free = np.where(np.sign(pulses) == np.sign(weight), 1 - abs(weight), abs(weight)) / step
    counted = (abs(weight) > 0.5 * step) & (free >= abs(pulses))
    np.testing.assert_allclose((after - weight)[counted], (pulses * step)[counted], atol=1e-6)


def descend(hardware: Hardware, rule: UpdateRule, steps: int = 200) -> tuple[Chip, SimulatedMatrix, torch.Tensor]:
    """Least squares of one matrix towards another, under a rule; the gradient is exact."""
    chip = Chip(hardware)
    generator = torch.Generator().manual_seed(0)
    start, goal = (torch.rand(12, 10, generator=generator) * 1.8 - 0.9 for _ in range(2))
    with chip.ledger.phase("adapt/update"):
        matrix = chip.matrix("w", start, np.ones(12))
        writer = rule.writer(matrix)
        optimizer = torch.optim.Adam([matrix.master], lr=0.03)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 - step / steps)
        for step in range(1, steps + 1):
            matrix.master.grad = matrix.weight() - goal
            if matrix.keeps_factors:
                matrix.put_factors(torch.eye(10), matrix.master.grad.T)
            if rule.uses_optimizer:
                optimizer.step()
                schedule.step()
            writer.write(last=step == steps)
    return chip, matrix, goal


WITHIN = [2, 2, 2 + 0.05 * 121, 2, 3, 15, 2, 4, 6, 6]
"""Mean pulses, of 121 for the full swing. Rounding to the nearest pulse stops where the steps get short; the learning
rate of stochastic pulses does not fall."""


@pytest.mark.parametrize(("rule", "pulses"), list(zip(EVERY_RULE, WITHIN, strict=True)), ids=str)
def test_every_rule_reaches_the_target_on_ideal_cells(rule: UpdateRule, pulses: float, ideal: Hardware) -> None:
    _, matrix, goal = descend(ideal, rule)
    assert float((matrix.weight() - goal).abs().max()) < pulses / 121


def test_accumulating_writes_less(milo: Hardware) -> None:
    """A level at a time, ten steps at a time, or fifteen pulses at a time: fewer cell writes than after every step."""
    writes = {
        name: descend(milo, rule)[0].ledger.writes()
        for name, rule in {
            "each step": WriteVerify(),
            "a level": WriteVerify(threshold=1 / 8),
            "ten steps": WriteVerify(every=10),
            "each pulse": MixedPrecision(),
            "fifteen pulses": MixedPrecision(granularity=15),
        }.items()
    }
    assert writes["a level"] < writes["each step"] and writes["ten steps"] < writes["each step"]
    assert writes["fifteen pulses"] < 0.2 * writes["each pulse"]


def back_and_forth(hardware: Hardware, rule: UpdateRule) -> float:
    """Mean change of weights at 0.6 under updates that cancel exactly: +d and -d in turn."""
    matrix = Chip(hardware).matrix("w", torch.full((8, 8), 0.6), np.ones(8))
    writer, start = rule.writer(matrix), matrix.weight()
    for step in range(80):
        with torch.no_grad():
            matrix.master.add_(0.1 * (-1) ** step)
        writer.write(last=False)
    return float((matrix.weight() - start).mean())


def test_asymmetric_cells_bias_blind_pulses_and_not_verified_writes(milo: Hardware) -> None:
    """SET pulses lose, and RESET pulses gain, reach towards g_max: updates that cancel pull the weight down."""
    bent = quiet(milo.device).replace(set_nonlinearity=3.0, reset_nonlinearity=3.0, programming_error=None)
    straight = milo.replace(device=quiet(milo.device).replace(programming_error=None))
    asymmetric = milo.replace(device=bent)
    assert back_and_forth(asymmetric, OpenLoopPulses(rounding="nearest")) < -0.02
    assert abs(back_and_forth(straight, OpenLoopPulses(rounding="nearest"))) < 1e-4
    assert abs(back_and_forth(asymmetric, WriteVerify())) < 1e-3


ON_TILES = (LoRA(rank=2), FullFineTuning(), Bottleneck(rank=2, targets=("mix",)))
PAIRS = [(rule, method) for method in ON_TILES for rule in EVERY_RULE]


def sampled(pair: tuple[UpdateRule, Method]) -> object:
    """LoRA meets every setting of every rule, the other methods meet every rule once."""
    rule, method = pair
    return pair if method is ON_TILES[0] else (type(rule), method)


@pytest.mark.parametrize("pair", one_of_each(PAIRS, [f"{rule}-{method}" for rule, method in PAIRS], sampled))
def test_methods_train_and_come_off_under_every_rule(pair: tuple[UpdateRule, Method], milo: Hardware) -> None:
    rule, method = pair
    model = tiny_net()
    chip = map_model(model, milo)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    generator = torch.Generator().manual_seed(7)
    x, y = torch.randn(20, 6, generator=generator), torch.randint(0, 3, (20,), generator=generator)
    adapter = method.replace(update_rule=rule, steps=40).attach(model, chip)
    deployed = chip.ledger.writes("adapt")
    history = fine_tune(model, adapter, x, y)
    assert sum(history.loss[-10:]) < sum(history.loss[:10])
    assert sum(history.cells_written) == chip.ledger.writes("adapt") - deployed
    words = sum(r["count"] for r in chip.ledger.rows() if r["component"] == "SRAM" and r["place"] == "optimizer")
    on_tiles = sum(matrix.master.numel() for matrix in adapter.matrices)
    digital = (adapter.trained_values - on_tiles) * (ADAMW.reads + ADAMW.writes)
    assert words == 40 * (digital + on_tiles * (rule.costs.reads + rule.costs.writes))
    verified = chip.ledger.by_component("adapt")["verify reads"]
    adapter.detach()
    assert all(torch.equal(tensor, model.state_dict()[name]) for name, tensor in before.items())
    if not isinstance(rule, WriteVerify) and isinstance(method, FullFineTuning):
        assert verified == 0
    for matrix in chip.matrices.values():
        assert not np.isnan(matrix.targets.target).any()


def test_a_step_that_is_not_due_writes_nothing(milo: Hardware) -> None:
    model = tiny_net()
    adapter = LoRA(rank=2, steps=10, update_rule=WriteVerify(every=4)).attach(model, map_model(model, milo))
    history = fine_tune(model, adapter, torch.randn(9, 6), torch.arange(9) % 3)
    assert [step for step, count in enumerate(history.cells_written, start=1) if count] == [4, 8, 10]


def test_sign_pulses_give_every_weight_one_pulse_and_keep_nothing(milo: Hardware) -> None:
    model = tiny_net()
    chip = map_model(model, milo)
    adapter = FullFineTuning(update_rule="sign_pulses", steps=3).attach(model, chip)
    history = fine_tune(model, adapter, torch.randn(9, 6), torch.arange(9) % 3)
    weights = sum(matrix.master.numel() for matrix in adapter.matrices)
    assert all(0.9 * weights < count <= weights for count in history.cells_written)
    assert SignPulses().costs.kept == 0 < MixedPrecision().costs.kept


def test_rules_are_settings_by_name_or_table(tmp_path: Path) -> None:
    method = LoRA(update_rule={"rule": "write_verify", "every": 5})
    (tmp_path / "m.toml").write_text(method.to_toml(), encoding="utf-8")
    assert LoRA.from_toml(tmp_path / "m.toml") == method
    assert {type(LoRA(update_rule=name).update_rule) for name in RULES} == set(RULES.values())
    page = (ROOT / "docs" / "methods.md").read_text(encoding="utf-8")
    for name, kind in RULES.items():
        assert all(f"`{key}`" in page for key in (name, *kind.model_fields))


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: BitFit(update_rule="sign_pulses"), "BitFit trains nothing on tiles"),
        (lambda: LoRA(placement="sram", update_rule="mixed_precision"), r"LoRA \(SRAM\) trains nothing on tiles"),
        (lambda: DoRA(update_rule="mixed_precision"), "DoRA needs the float copies"),
        (lambda: LoRA(update_rule="sign_pulses", weight_decay=0.1), "weight_decay needs the float copies"),
        (lambda: LoRA(update_rule="manhattan"), "update_rule"),
        (lambda: LoRA(update_rule={"rule": "stochastic_pulses", "bits": 32}), "less than or equal to 31"),
        (lambda: LoRA(update_rule={"rule": "write_verify", "threshold": 2}), "less than or equal to 1"),
    ],
)
def test_combinations_that_mean_nothing_are_refused(make: object, sentence: str) -> None:
    with pytest.raises(SpecError, match=sentence):
        make()  # type: ignore[operator]


@pytest.mark.parametrize("rule", [rule for rule in EVERY_RULE if not isinstance(rule, WriteVerify)], ids=str)
def test_a_matrix_that_is_only_counted_takes_no_blind_pulses(rule: UpdateRule, milo: Hardware) -> None:
    with pytest.raises(MappingError, match=f"'{rule.name}' depends on data; simulate, or write with verify"):
        rule.writer(CountedChip(milo).matrix("w", torch.ones(3, 4)))


def test_without_a_chip_the_rule_has_nothing_to_do() -> None:
    losses = []
    for rule in (WriteVerify(), SignPulses()):
        model: nn.Module = tiny_net()
        adapter = LoRA(rank=2, steps=3, update_rule=rule).attach(model)
        losses.append(fine_tune(model, adapter, torch.ones(9, 6), torch.arange(9) % 3).loss)
    assert losses[0] == losses[1]
