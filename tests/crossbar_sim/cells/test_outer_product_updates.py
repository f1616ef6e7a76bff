"""Updates of a matrix by pulsed outer products: their statistics, the bill, what is refused."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

from crossbar_sim import Chip, DeviceModel, Hardware, SpecError
from crossbar_sim.chip.simulated import SimulatedMatrix
from crossbar_sim.ledger.ledger import Ledger
from crossbar_sim.spec.errors import MappingError
from peft_methods.updates.stochastic import StochasticPulses
from tests.conftest import OTHER_EFFECTS


def linear(hardware: Hardware, pulses: float, mapping: str, spread: float = 0.0) -> Hardware:
    """Continuous cells, every pulse of which goes equally far on average."""
    device = hardware.ideal().device.replace(
        cycle_to_cycle=spread,
        cycle_to_cycle_window=None,
        device_to_device=None,
        full_swing_pulses=pulses,
        programming="open_loop",
    )
    return hardware.ideal().replace(device=device, tile=hardware.tile.replace(mapping=mapping))


MAPPINGS = pytest.mark.parametrize(("mapping", "steps"), [("offset", 2), ("two_sided", 2), ("differential", 1)])


@MAPPINGS
@pytest.mark.parametrize("spread", [0.0, 0.3])
def test_mean_and_variance_of_an_update(milo: Hardware, mapping: str, steps: int, spread: float) -> None:
    """On linear cells the mean is the digital step. For p = p_x p_d, a step D of the weight and a relative spread s of
    pulses (s / sqrt(2) where two cells take them), the variance is D^2 slots p (1 - p + s^2): within 5 standard errors
    over the diagonal, whose cells share no train."""
    size = 600
    rate = 0.01
    x = 0.8
    hardware = linear(milo, 400.0, mapping, spread)
    scale, error = np.resize([1.0, 2.0, 0.5], size), np.resize([0.6, -1.5, 0.3], size)
    start = 0.5 * torch.from_numpy(scale).float()[:, None].expand(size, size)
    matrix = SimulatedMatrix(hardware, Ledger(), 0, "w", start, scale)
    before = matrix.weight().diagonal().double().numpy()
    matrix.update(torch.full((1, size), x), torch.from_numpy(error)[None], rate)
    change = matrix.weight().diagonal().double().numpy() - before
    wanted = rate * x * np.abs(error / scale) / (steps / 400)
    slots = np.ceil(wanted.max())
    p, step = wanted / slots, steps * scale / 400
    variance = step**2 * slots * p * (1 - p + spread**2 * (0.5 if mapping == "two_sided" else 1.0))
    for kind in range(3):
        some, count = slice(kind, None, 3), size // 3
        mean, expected = change[some].mean(), variance[kind]
        assert abs(mean + rate * x * error[kind]) < 5 * np.sqrt(expected / count)
        tail = 3 + 1 / (slots * p[kind])
        assert change[some].var() == pytest.approx(expected, rel=5 * np.sqrt((tail - 1) / count))


@MAPPINGS
def test_fine_steps_approach_the_digital_update(milo: Hardware, mapping: str, steps: int) -> None:
    """The relative error falls with the root of the number of pulses: to a quarter with 16 times as many."""
    generator = torch.Generator().manual_seed(0)
    x, error = torch.randn(24, generator=generator), torch.randn(16, generator=generator)
    rate = 7e-5 * steps
    samples = 64
    errors = []
    digital = -rate * samples * error[:, None] * x
    for pulses in (400.0, 6400.0, 102400.0):
        matrix = SimulatedMatrix(
            linear(milo, pulses, mapping), Ledger(), 0, "w", torch.full((16, 24), 0.5), np.ones(16)
        )
        before = matrix.weight()
        matrix.update(x.expand(samples, 24), error.expand(samples, 16), rate)
        errors.append(float((matrix.weight() - before - digital).norm() / digital.norm()))
        assert torch.equal(matrix.master.detach(), matrix.weight())
    assert errors[1] < 0.4 * errors[0] and errors[2] < 0.4 * errors[1] and errors[2] < 0.1


def chips_matrix(hardware: Hardware, outputs: int = 150, inputs: int = 140) -> tuple[Chip, SimulatedMatrix]:
    chip = Chip(hardware)
    with chip.ledger.phase("deploy"):
        weight = torch.randn(outputs, inputs, generator=torch.Generator().manual_seed(1)) / 10
        return chip, chip.matrix("w", weight)


@pytest.mark.parametrize("mapping", ["offset", "two_sided", "differential"])
def test_an_update_is_billed_counted_and_read_back(milo: Hardware, mapping: str) -> None:
    chip, matrix = chips_matrix(milo.replace(tile=milo.tile.replace(mapping=mapping, scale="tile")))
    generator = torch.Generator().manual_seed(2)
    x, error = torch.randn(5, 140, generator=generator), torch.randn(5, 150, generator=generator)
    read_before, ledger = matrix.read(x), chip.ledger
    mark, column_of = chip.mark_writes(), set(matrix.layout.column_of)
    writes_before = matrix.cells.writes.copy()
    with ledger.phase("adapt/update"):
        result = matrix.update(x, error, 1e-3)
    components = ledger.by_component("adapt")
    assert components["SET pulses"] == pytest.approx(result.set_energy.sum(), rel=1e-12)
    assert components["RESET pulses"] == pytest.approx(result.reset_energy.sum(), rel=1e-12)
    assert components["verify reads"] == components["verify sensing"] == 0 < components["line charging"]
    assert ledger.energy("adapt") == pytest.approx(sum(components.values()), rel=1e-12)
    by_tile = chip.energy_by_tile("adapt")
    assert len(by_tile) == len(matrix.tiles)
    assert math.fsum(by_tile.values()) == pytest.approx(ledger.energy("adapt"), rel=1e-15)
    assert ledger.writes("adapt") == result.count == chip.writes_since(mark)["w"].sum()
    assert (matrix.cells.writes - writes_before == chip.writes_since(mark)["w"]).all()
    assert np.isnan(matrix.targets.target.reshape(-1)[result.cells]).all()
    assert set(np.unravel_index(result.cells, matrix.cells.writes.shape)[2]) <= column_of  # no reference
    assert torch.equal(matrix.master.detach(), matrix.weight())
    assert not torch.equal(matrix.read(x), read_before)
    assert matrix.program().count >= result.count and not np.isnan(matrix.targets.target).any()


def test_lines_and_time_are_billed_by_the_trains(milo: Hardware) -> None:
    """Three samples by hand: signs of the inputs decide the phases, trains the charged lines, all tiles at once."""
    device, capacitance = milo.device, milo.tile.line_capacitance
    for mapping, columns in (("offset", 1), ("differential", 2)):
        chip, matrix = chips_matrix(milo.replace(tile=milo.tile.replace(mapping=mapping)), outputs=3, inputs=130)
        step = {"offset": 2, "differential": 1}[mapping] / device.full_swing_pulses
        x, error = torch.zeros(3, 130), torch.zeros(3, 3)
        x[0, :3] = 1.0
        x[1, 5] = 1.0
        x[1, 129] = -1.0
        error[0], error[1, 1] = torch.tensor([1.0, -1.0, 0.0]), 1.0
        matrix.targets.scale[:], matrix.targets.limit[:] = 1.0, 1.0
        with chip.ledger.phase("adapt/update"):
            result = matrix.update(x, error, 2 * step)
        assert result.pulses.max() == 2 and result.count == 3 * 2 + 2
        slot = max(device.pulse_width, device.reset_width)
        assert chip.ledger.time("adapt") == pytest.approx(2 * (1 + 2) * slot, rel=1e-12)
        up, down = device.set_voltage**2, device.reset_voltage**2
        rows = 2 * (3 + 2) * up
        # two tiles; sample 0: one phase, two columns, one up and one down; sample 1: both phases, one column. A pair
        # charges a line up and a line down each time.
        volts = 2 * 2 * columns * ((up + down) + (up + down))
        assert chip.ledger.by_component("adapt")["line charging"] == pytest.approx(capacitance * (rows + volts))


def test_updates_without_a_pulse_change_nothing(milo: Hardware) -> None:
    chip, matrix = chips_matrix(milo)
    before = matrix.cells.conductance.copy()
    with chip.ledger.phase("adapt/update"):
        for x, error in ((torch.zeros(4, 140), torch.ones(4, 150)), (torch.empty(0, 140), torch.empty(0, 150))):
            assert matrix.update(x, error, 1.0).count == 0
    assert (matrix.cells.conductance == before).all() and chip.ledger.energy("adapt") == 0


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"tile": {"slices": 2, "slice_bits": 1}}, "carry from one slice to the next; choose slices = 1"),
        ({"tile": {"mapping": "two_sided", "pair_update": "one_side"}}, "choose pair_update = 'both'"),
        ({"tile": {"access": "passive"}}, "choose access = '1T1R'"),
        ({"device": {"disturbance": OTHER_EFFECTS["disturbance"]}}, "leave it out, or use the update rule open_loop"),
        ({"name": "milo2021_full_chip", "accounting": "neurosim"}, "choose accounting = 'physical'"),
        ({"device": "wan2022_incremental"}, "have one voltage, but the device has incremental_amplitude"),
    ],
)
def test_hardware_without_such_an_update_is_refused_before_the_first_step(
    milo: Hardware, change: dict[str, Any], sentence: str
) -> None:
    device = change.get("device", {})
    hardware = Hardware.load(change.get("name", milo.name))
    hardware = hardware.replace(
        device=DeviceModel.load(device) if isinstance(device, str) else milo.device.replace(**device),
        tile=hardware.tile.replace(**change.get("tile", {})),
        accounting=change.get("accounting", "physical"),
    )
    _, matrix = chips_matrix(hardware, 3, 4)
    with pytest.raises(SpecError, match=sentence):
        matrix.update(torch.ones(1, 4), torch.ones(1, 3), 1.0)
    with pytest.raises(SpecError, match=sentence):
        StochasticPulses().writer(matrix)


@pytest.mark.parametrize(
    ("x", "error", "rate", "sentence"),
    [
        (torch.ones(2, 3), torch.ones(2, 3), 1.0, r"x \(samples, 4\) and error \(samples, 3\), got \(2, 3\)"),
        (torch.ones(2, 4), torch.ones(1, 3), 1.0, r"got \(2, 4\) and \(1, 3\)"),
        (torch.full((2, 4), torch.nan), torch.ones(2, 3), 1.0, "NaN or infinity in an update"),
        (torch.ones(2, 4), torch.ones(2, 3), -1.0, "must be positive, got -1"),
    ],
)
def test_data_that_is_no_update_is_refused(
    milo: Hardware, x: torch.Tensor, error: torch.Tensor, rate: float, sentence: str
) -> None:
    _, matrix = chips_matrix(milo, 3, 4)
    with pytest.raises(MappingError, match=sentence):
        matrix.update(x, error, rate)


def test_backward_passes_hand_over_factors_while_a_rule_wants_them(milo: Hardware) -> None:
    """Reads that share a matrix come in one update; the gradient of the master is not computed."""
    _, matrix = chips_matrix(milo, 3, 4)
    matrix.master.requires_grad_(True)
    writer = StochasticPulses(learning_rate=1e-9).writer(matrix)
    x = torch.randn(2, 5, 4, generator=torch.Generator().manual_seed(0))
    (matrix(x) + matrix(2 * x)).sum().backward()
    assert matrix.master.grad is None and matrix.keeps_factors
    factors = matrix.take_factors()
    assert [tuple(part.shape) for pair in factors for part in pair] == [(10, 4), (10, 3)] * 2
    for x, error in factors:
        matrix.put_factors(x, error)
    assert writer.write(last=False) == writer.write(last=True) == 0 and matrix.take_factors() == []
    assert matrix.cells.samples == 20
