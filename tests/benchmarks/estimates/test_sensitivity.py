"""Sensitivity studies: which constants move what, and when a ranking turns."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.estimates.sensitivity import (
    SPREADS,
    Constant,
    Sensitivity,
    Variation,
    constants_of,
    sensitivity,
    varied,
)
from benchmarks.reporting.figures.draw import draw_to
from crossbar_sim import DeviceModel, Hardware, SpecError
from crossbar_sim.devices import TelegraphNoise


@pytest.fixture(scope="module")
def result() -> Sensitivity:
    return sensitivity(methods=("bitfit", "lora"))


def test_every_assumed_number_is_halved_and_doubled(result: Sensitivity, milo: Hardware) -> None:
    assumed = {(row["part"], row["name"]) for row in milo.provenance() if row["kind"] == "assumed"}
    other_laws = {("device", name) for name in milo.device.laws()} - {("device", name) for name in SPREADS}
    rates = {(part, name) for part, name in assumed if part == "digital unit"}  # which cost time, and no energy
    assert {(c.part, c.name) for c in result.constants} == assumed - other_laws - rates
    assert len(result.variations) == 2 * len(result.constants)
    fitted = constants_of(milo, ("assumed", "fitted"))
    assert {"sram_read", "g_max", "programming_error"} <= {constant.name for constant in fitted}


@pytest.mark.parametrize(
    ("device", "law"),
    [
        ("milo2021", "programming_error"),
        ("milo2021", "read_noise"),
        ("falcone2025_0p2", "read_noise"),
        ("nandakumar2019", "read_noise"),
        ("legallo2023_1pcm", "read_noise"),
    ],
)
def test_a_law_of_spread_is_scaled_as_a_whole(milo: Hardware, device: str, law: str) -> None:
    hardware = milo.replace(device=DeviceModel.load(device))
    (constant,) = [c for c in constants_of(hardware, ("assumed", "fitted", "measured")) if c.name == law]
    conductances = np.linspace(hardware.device.g_min, hardware.device.g_max, 7)
    before, after = (getattr(h.device, law)(conductances) for h in (hardware, varied(hardware, constant, 2.0)))
    assert before.max() > 0 and after == pytest.approx(2 * before)


def test_telegraph_noise_is_scaled(milo: Hardware) -> None:
    noise = TelegraphNoise(amplitude=0.1, source="assumption", kind="assumed")
    hardware = milo.replace(device=milo.device.replace(telegraph_noise=noise))
    (constant,) = [c for c in constants_of(hardware) if c.name == "telegraph_noise"]
    assert varied(hardware, constant, 0.5).device.telegraph_noise == noise.replace(amplitude=0.05)


def test_energies_move_as_physics_says(result: Sensitivity) -> None:
    constants = {constant.name: constant for constant in result.constants}
    low, high = result.energy_range(constants["read_time"], "bitfit")
    assert low < 1 < high and high - 1 == pytest.approx(2 * (1 - low), rel=1e-6)  # reads take energy in proportion
    assert result.energy_range(constants["reset_voltage"], "bitfit") == (1, 1)  # nothing is written
    assert result.energy_range(constants["endurance"], "lora") == (1, 1)
    assert result.energy_range(constants["read_noise"], "lora") == (1, 1)
    record = result.record()
    assert record.ranking == ("bitfit", "lora") and record.ranking_changes is False
    assert "no single constant changes the ranking" in str(result)


def test_a_turned_ranking_is_named(tmp_path: Path) -> None:
    constant = Constant("tile", "line_capacitance", "16 fF", "assumed", "neurosim", "")
    variations = (Variation(constant, 0.5, {"a": 1.0, "b": 2.0}), Variation(constant, 2.0, {"a": 3.0, "b": 2.0}))
    result = Sensitivity("model", "hardware", {"a": 1.5, "b": 2.0}, {}, variations)
    assert result.changes(variations[0]) == [] and result.changes(variations[1]) == [("a", "b")]
    assert "changes the ranking: tile.line_capacitance x 2: b before a" in str(result)
    assert draw_to(tmp_path / "tornado.svg", result).stat().st_size > 1000


def test_an_impossible_variant_is_refused_with_its_reason(milo: Hardware) -> None:
    (g_min,) = [constant for constant in constants_of(milo, ("fitted",)) if constant.name == "g_max"]
    with pytest.raises(SpecError):
        varied(milo, g_min, 0.1)


def test_methods_that_do_not_fit_are_left_out_with_the_reason() -> None:
    with pytest.raises(SpecError, match="did you mean 'bitfit'"):
        sensitivity(methods=("bitfix",))
