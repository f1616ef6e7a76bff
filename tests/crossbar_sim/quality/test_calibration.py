"""Range registers from data: the largest current or a percentile of it, forward and transposed, held or not."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from torch import nn

from crossbar_sim import Chip, Hardware, MappingError, map_model
from crossbar_sim.quality.calibration import Calibration, calibrate
from tests.conftest import tiny_net


def chip_of(hardware: Hardware, *, rows: int = 128, inputs: int = 20) -> tuple[nn.Module, Chip]:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(inputs, 8), nn.Tanh(), nn.Linear(8, 4))
    hardware = hardware.replace(tile=hardware.tile.replace(rows=rows, columns=10))
    return model, map_model(model, hardware, exclude=())


def currents(chip: Chip, name: str, x: torch.Tensor) -> torch.Tensor:
    """|current| of every conversion, from the conductances: (vectors, outputs) of a matrix on one row of tiles."""
    matrix = chip.matrices[name]
    device = matrix.hardware.device
    plus, minus = (torch.from_numpy(side) for side in matrix.cells.conductance)
    volts = device.read_voltage * x.double() / x.double().abs().amax(dim=1, keepdim=True)
    return (volts @ (plus - minus)).abs()


@pytest.mark.parametrize("percentile", [100, 99, 90, 60])
def test_registers_are_the_percentile_of_the_currents(milo: Hardware, percentile: float) -> None:
    model, chip = chip_of(milo.without("read_noise", "dac"))
    x = torch.randn(400, 20)
    report = calibrate(model, [x[:100], x[100:]], percentile=percentile)
    matrix = chip.matrices["0"]
    registers, steps = matrix.path().registers.ranges, matrix.path().adc_steps
    assert registers is not None
    found = currents(chip, "0", x)
    for tile, register in zip(matrix.tiles, registers[0], strict=True):
        values = found[:, tile.outputs].numpy().ravel()
        if percentile == 100:
            expected = values.max()
        else:  # half a step beyond the range still rounds to its last code
            expected = np.quantile(values, percentile / 100, method="inverted_cdf") / (1 + 0.5 / steps)
        assert register == pytest.approx(expected, rel=1e-4)
    row = report.rows()[0]
    assert row["matrix"] == "0" and row["vectors"] == 400
    assert row["clipped_share"] <= 1 - percentile / 100 + 1e-9 < row["clipped_share"] + 0.01


def test_every_batch_is_covered_and_the_tiles_of_later_rows_too(milo: Hardware) -> None:
    model, chip = chip_of(milo.without("read_noise"), rows=6)
    small, large = 0.01 * torch.eye(20), torch.ones(30, 20)
    for data in ([small, large], [large, small], torch.cat([small, large])):
        report = calibrate(model, data)
        assert [row["clipped_share"] for row in report.rows()] == [0, 0]
    registers = chip.matrices["0"].path().registers.ranges
    assert registers is not None and registers.shape == (4, 2) and (registers > 0).all()


def test_the_pass_is_billed_to_deploy_or_not_at_all(milo: Hardware) -> None:
    model, chip = chip_of(milo)
    x = torch.randn(30, 20)
    deployed = chip.ledger.energy()
    calibrate(model, x, bill=False)
    assert chip.ledger.energy() == deployed and chip.ledger.energy("infer") == 0
    model.eval()
    model(x)
    one_pass = chip.ledger.energy("infer")
    calibrate(model, x, percentile=99)
    assert chip.ledger.energy("deploy") - deployed == pytest.approx(one_pass, rel=1e-3)  # read noise moves later inputs
    assert chip.ledger.writes() == chip.plan.cells_used


def test_held_registers_stay_while_training(milo: Hardware) -> None:
    model, chip = chip_of(milo)
    x = torch.randn(30, 20)
    for hold in (True, False):
        calibrate(model, x, hold=hold)
        path = chip.matrices["0"].path()
        assert path.registers.ranges is not None
        before = path.registers.ranges.copy()
        model.train()
        model(0.5 * torch.ones(3, 20))
        assert np.array_equal(path.registers.ranges, before) == hold
        assert model.training  # calibrating had not changed the mode


def test_transposed_registers_come_from_the_gradients_of_a_loss(milo: Hardware) -> None:
    model = tiny_net()
    chip = map_model(model, milo.without("read_noise"))
    x, labels = torch.randn(40, 6), torch.arange(40) % 3
    report = calibrate(model, x, loss=lambda logits: nn.functional.cross_entropy(logits, labels), hold=True)
    assert {row["matrix"] for row in report.rows() if row["transposed"]} == set(chip.matrices) - {"blocks.0.up"}
    assert all(row["clipped_share"] == 0 for row in report.rows())
    assert all(parameter.grad is None for parameter in model.parameters())
    model.requires_grad_(False)
    with pytest.raises(MappingError, match="requires a gradient"):
        calibrate(model, x, loss=lambda logits: logits.sum())


def test_a_percentile_pays_when_outliers_are_rare(milo: Hardware) -> None:
    """With a coarse ADC and one input in a hundred that drives all lines at once, clipping it is worth it."""
    coarse = milo.without("levels", "programming_error", "read_noise", "dac")
    coarse = coarse.replace(adc=coarse.adc.replace(bits=4))
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(100, 4))
    with torch.no_grad():
        model[0].weight.abs_()
    chip = map_model(model, coarse)
    x = torch.where(torch.arange(300)[:, None] % 100 == 0, torch.ones(1), torch.eye(100).repeat(3, 1))
    snr = {percentile: calibrate(model, x, percentile=percentile).rows()[0]["snr_dB"] for percentile in (100, 98)}
    ordinary = x[1:100]

    def error(percentile: float) -> float:
        calibrate(model, x, percentile=percentile)
        with torch.no_grad(), chip.probing():
            y = model.eval()(ordinary) - model[0].bias
            exact = ordinary @ model[0].weight.detach().T
        return float((y - exact).norm() / exact.norm())

    assert error(98) < 0.2 * error(100)
    assert snr[100] > snr[98]  # what is clipped is lost: the report says so


@pytest.mark.parametrize("drive", ["multi_level", "bit_serial"])
@pytest.mark.parametrize("percentile", [100, 95])
def test_the_register_of_the_dacs_is_the_largest_input(milo: Hardware, percentile: float, drive: str) -> None:
    """Of all batches; the ranges of the ADCs are those of the currents that it leaves, as if the largest came first."""
    dac = milo.dac.replace(range="calibrated", drive=drive)
    small, large = torch.randn(40, 20).clamp(-1, 1), 3 * torch.randn(40, 20).clamp(-1, 1)
    found = []
    for data in ([small, large], [large, small]):
        model, chip = chip_of(milo.without("read_noise", "programming_error", "levels").replace(dac=dac))
        model = model[:1]  # the next layers would see the rounding of other ranges
        report = calibrate(model, data, percentile=percentile, hold=True)
        path = chip.matrices["0"].path()
        assert path.registers.full_drive == pytest.approx(float(large.abs().max()))
        assert path.registers.full_drive == report.rows()[0]["full_drive"] and "input 3" in str(report)
        assert path.registers.ranges is not None
        found.append(path.registers.ranges.copy())
        model.train()(10 * large)
        assert path.registers.full_drive == report.rows()[0]["full_drive"]  # held
    np.testing.assert_allclose(found[0], found[1], rtol=1e-6)
    calibrate(model, small)
    model.train()(0.1 * small)
    model(0.1 * small)
    assert path.registers.full_drive == pytest.approx(0.95**2 * float(small.abs().max()))


@pytest.mark.parametrize("mapping", ["differential", "offset"])
def test_transposed_registers_of_the_dacs(milo: Hardware, mapping: str) -> None:
    """Gradients enter times the largest weight of their column, references with their sum: nothing is clipped."""
    hardware = milo.ideal().replace(dac=milo.dac.replace(range="calibrated", bits=14))
    hardware = hardware.replace(tile=hardware.tile.replace(mapping=mapping))
    model, chip = chip_of(hardware)
    x = torch.randn(30, 20)
    calibrate(model, x, loss=lambda y: y.square().sum(), hold=True)
    matrix = chip.matrices["2"]
    register = matrix.registers(True).full_drive
    with torch.no_grad():
        gradient = 2 * model(x)
    scaled = gradient * torch.from_numpy(matrix.targets.scale)
    lines = scaled if mapping == "differential" else torch.cat([scaled, scaled.sum(dim=1, keepdim=True)], dim=1)
    assert register == pytest.approx(float(lines.abs().max()), rel=1e-3)
    with torch.no_grad():
        read = matrix.read(gradient, transposed=True)
    torch.testing.assert_close(read, gradient @ matrix.master, rtol=0, atol=2e-3 * float(gradient.abs().max()))


def test_recurrent_states_are_covered(milo: Hardware) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.LSTM(3, 6))
    map_model(model, milo.without("read_noise"))
    report = calibrate(model, torch.randn(12, 5, 3))
    assert {row["matrix"]: row["clipped_share"] for row in report.rows()} == {"0.input_l0": 0, "0.hidden_l0": 0}


def test_report_prints_and_goes_to_json(milo: Hardware) -> None:
    model, _ = chip_of(milo)
    report = calibrate(model, torch.randn(30, 20), percentile=99.9, hold=True)
    text = str(report)
    assert "99.9 % of |current|, held" in text and " clipped" in text and " dB" in text
    assert json.loads(json.dumps(report.rows(), allow_nan=False)) == report.rows()
    assert isinstance(report, Calibration)


@pytest.mark.parametrize("effect", ["exact", "full_scale"])
def test_converters_without_registers_are_named(milo: Hardware, effect: str) -> None:
    adc = milo.adc.replace(exact=True) if effect == "exact" else milo.adc.replace(range="full_scale")
    model, chip = chip_of(milo.replace(adc=adc))
    before = chip.matrices["0"].path().registers.ranges
    report = calibrate(model, torch.randn(30, 20), percentile=90)
    assert "no register" in str(report) and report.rows()[0]["largest_range"] is None
    assert before is not None and np.array_equal(chip.matrices["0"].path().registers.ranges, before)


def test_mistakes(milo: Hardware) -> None:
    model, _ = chip_of(milo)
    with pytest.raises(MappingError, match="percentile must be 50 to 100"):
        calibrate(model, torch.randn(3, 20), percentile=101)
    with pytest.raises(MappingError, match="no data"):
        calibrate(model, [])
    with pytest.raises(MappingError, match="no data"):
        calibrate(model, torch.randn(0, 20))
    with pytest.raises(MappingError, match="nothing on tiles"):
        calibrate(nn.Linear(2, 2), torch.ones(1, 2))
