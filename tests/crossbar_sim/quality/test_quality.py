"""Mapping quality: known errors are found, looking changes nothing, the parts add up, the figure draws."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from benchmarks.reporting.figures.quality import mapping_quality
from benchmarks.reporting.figures.style import svg
from crossbar_sim import Chip, Hardware, map_model
from crossbar_sim.chip.simulated import SimulatedMatrix
from crossbar_sim.quality.calibration import calibrate
from crossbar_sim.quality.report import Quality, quality
from tests import ROOT
from tests.conftest import tiny_net


def _counts(matrix: SimulatedMatrix) -> tuple[object, ...]:
    registers = matrix.path().registers
    return registers.reads, registers.conversions, registers.clipped, registers.full_drive


def test_looking_changes_nothing(milo: Hardware) -> None:
    """A chip that was looked at, in the middle of training, ends like one that was not."""
    results: list[Any] = []
    for look in (False, True):
        model = tiny_net()
        chip = map_model(model, milo)
        model.train()
        for step in range(3):
            if look:
                with torch.random.fork_rng():
                    quality(model, [torch.randn(20, 6), torch.randn(3, 6)], each=step == 1)
            results.append(model(torch.full((4, 6), 0.1 * step)).detach())
        assert model.training
        results += [chip.ledger.energy(), [_counts(matrix) for matrix in chip.matrices.values()]]
    half = len(results) // 2
    assert all(
        torch.equal(a, b) if isinstance(a, torch.Tensor) else a == b
        for a, b in zip(results[:half], results[half:], strict=True)
    )


@pytest.mark.parametrize("bits", [6, 8, 10])
def test_an_adc_alone_has_the_snr_of_its_rounding(milo: Hardware, bits: int) -> None:
    """Rounding to steps d leaves d^2 / 12; the signal's power follows from the products."""
    alone = milo.without(*(set(milo.active_non_idealities) - {"adc"}))
    alone = alone.replace(adc=alone.adc.replace(bits=bits))
    torch.manual_seed(0)
    model, x = nn.Sequential(nn.Linear(60, 16)), torch.rand(2000, 60) * 2 - 1
    chip = map_model(model, alone)
    (found,) = quality(model, x).matrices
    exact = (x / x.abs().amax(dim=1, keepdim=True)) @ model[0].weight.detach().T
    matrix = chip.matrices["0"]
    unit = matrix.hardware.device.read_voltage * matrix.hardware.device.window
    in_volts = exact.detach() / torch.from_numpy(matrix.targets.scale) * unit
    step = float(in_volts.abs().max()) / matrix.path().adc_steps
    weight = (torch.from_numpy(matrix.targets.scale) / unit) ** 2 * x.abs().amax(dim=1, keepdim=True) ** 2
    signal = float((in_volts.square() * weight).mean())
    expected = 10 * np.log10(signal / (step**2 / 12 * float(weight.mean())))
    assert found.snr_dB == pytest.approx(expected, abs=0.15)
    assert found.effective_bits == pytest.approx((found.snr_dB - 1.76) / 6.02)
    assert found.adc_use == pytest.approx(1, abs=1e-4) and found.clipped_share == 0


def test_weight_error_and_levels_are_those_of_the_cells(ideal: Hardware) -> None:
    """Five levels and nothing else: weights on them are exact, and the histogram is the count of them."""
    hardware = ideal.replace(device=ideal.device.replace(levels=5))
    model = nn.Sequential(nn.Linear(4, 1, bias=False))
    with torch.no_grad():
        model[0].weight.copy_(torch.tensor([[1.0, -0.5, 0.25, 0.3]]))
    map_model(model, hardware)
    (found,) = quality(model, torch.eye(4)).matrices
    assert found.conductances == (4, 2, 1, 0, 1)  # plus: 4, 0, 1, 1; minus: 0, 2, 0, 0
    assert found.weight_error == pytest.approx(np.std([0, 0, 0, 0.05]))
    assert found.snr_dB == pytest.approx(10 * np.log10((1 + 0.25 + 0.0625 + 0.09) / 0.05**2), rel=1e-5)
    assert found.dac_use == pytest.approx(0.5) and found.tiles == 1 and found.utilisation == 8 / 128**2


def test_an_ideal_chip_is_exact_to_single_precision(ideal: Hardware) -> None:
    model = tiny_net()
    map_model(model, ideal)
    for one in quality(model, torch.randn(20, 6), each=True).matrices:
        assert one.snr_dB is not None and one.snr_dB > 120 and one.gains_dB == {} and one.adc_use is None
        assert len(one.conductances) == 16 and sum(one.conductances) == 2 * one.inputs * one.outputs


def test_each_non_ideality_alone(milo: Hardware) -> None:
    """The noise powers of independent causes add up: what each one's absence gains accounts for the whole."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(100, 50))
    map_model(model, milo)
    (found,) = quality(model, torch.randn(300, 100), each=True).matrices
    assert tuple(found.gains_dB) == milo.active_non_idealities
    gains = [gain for gain in found.gains_dB.values() if gain is not None]
    assert sum(1 - 10 ** (-gain / 10) for gain in gains) == pytest.approx(1, abs=0.1)
    assert found.gains_dB["programming_error"] > 1 > found.gains_dB["dac"]  # type: ignore[operator]


def test_nothing_to_compare_is_none(milo: Hardware) -> None:
    model = nn.Sequential(nn.Linear(3, 2))
    map_model(model, milo)
    (found,) = quality(model, torch.zeros(4, 3), each=True).matrices
    assert found.snr_dB is None and found.effective_bits is None and set(found.gains_dB.values()) == {None}
    assert "-" in str(quality(model, torch.zeros(4, 3)))


@pytest.fixture(scope="module")
def measured() -> Quality:
    milo = Hardware.load("milo2021_128x128")
    model = tiny_net()
    other = milo.replace(name="other", device=milo.device.replace(levels=5))
    map_model(model, milo, hardware_of={"blocks.1.*": other})
    return quality(model, torch.randn(30, 6), each=True)


def test_rows_are_json_and_the_table_names_every_matrix(measured: Quality) -> None:
    rows = measured.rows()
    assert json.loads(json.dumps(rows, allow_nan=False)) == rows
    text = str(measured)
    assert all(row["matrix"] in text for row in rows) and "-programming_error" in text
    assert len(text.splitlines()) == 1 + len(rows) == 7


def test_the_figure_names_matrices_causes_and_hardware(measured: Quality) -> None:
    text = svg(mapping_quality(measured))
    words = " ".join(ET.fromstring(text).itertext())
    for name in ("blocks.0.up", "without read noise", "other", "milo2021_128x128", "as it is"):
        assert name in words
    assert text == svg(mapping_quality(measured)) and "nan" not in text


def test_a_chip_made_by_hand(milo: Hardware) -> None:
    matrix = Chip(milo).matrix("alone", torch.randn(5, 4))
    assert [one.matrix for one in quality(nn.Sequential(matrix), torch.randn(3, 4)).matrices] == ["alone"]


def test_every_key_of_the_records_is_described(measured: Quality, milo: Hardware) -> None:
    page = (ROOT / "docs" / "layers.md").read_text(encoding="utf-8")
    model = tiny_net()
    map_model(model, milo)
    keys = [*measured.rows()[0], *calibrate(model, torch.randn(8, 6)).rows()[0]]
    assert [key for key in keys if f"`{key}`" not in page] == []
