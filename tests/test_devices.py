"""Published devices: their formulas, their statistics and their pulse energies against published numbers."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from crossbar_sim import DeviceModel
from crossbar_sim.counter_random import stream_key
from crossbar_sim.crossbar import Crossbar
from crossbar_sim.devices.kernels import pulse_energy

CONFIDENCE = 0.9999

PUBLISHED_SPREAD = [  # device, siemens, sigma in uS: CrossSim's RRAMMilo and aihwkit's ReRamWan2022NoiseModel (40 uS)
    *[("milo2021", g, s) for g, s in [(50e-6, 4.327), (100e-6, 3.872), (150e-6, 3.416), (225e-6, 2.733)]],
    *[("wan2022", g, s) for g, s in [(0, 0.348), (5e-6, 1.751), (10e-6, 2.258), (20e-6, 2.023), (30e-6, 1.533)]],
]


@pytest.mark.parametrize(("name", "conductance", "microsiemens"), PUBLISHED_SPREAD)
def test_programming_error_follows_the_published_curve(name: str, conductance: float, microsiemens: float) -> None:
    law = DeviceModel.load(name).programming_error
    assert law is not None
    assert law(np.array([conductance]))[0] == pytest.approx(microsiemens * 1e-6, abs=6e-10)


@pytest.mark.parametrize("name", ["milo2021", "wan2022"])
def test_programmed_cells_have_the_published_spread_at_every_level(name: str) -> None:
    device = DeviceModel.load(name)
    assert device.levels is not None and device.programming_error is not None
    cells = 20_000
    for level in range(device.levels):
        target = np.full(cells, device.g_min + device.window * level / (device.levels - 1))
        crossbar = Crossbar(device, (cells,), stream_key(level, name))
        achieved = crossbar.program(np.arange(cells), target, 0.0).achieved
        sigma = device.programming_error(target[:1])[0]
        if target[0] < 4 * sigma:
            continue  # conductances cannot be negative, so the spread near zero is cut
        low, high = stats.chi2.interval(CONFIDENCE, cells - 1) / np.float64(cells - 1)
        assert low < achieved.var(ddof=1) / sigma**2 < high
        assert abs(achieved.mean() - target[0]) < stats.norm.ppf(CONFIDENCE) * sigma / np.sqrt(cells)


def test_neurram_needs_its_published_mean_number_of_pulses() -> None:
    """Wan et al. 2022: 8.52 pulses per write; here between two different random levels."""
    device = DeviceModel.load("wan2022")
    generator, cells = np.random.default_rng(0), 100_000
    start, end = (device.g_min + device.window * generator.integers(0, 16, cells) / 15 for _ in range(2))
    crossbar = Crossbar(device.replace(programming_error=None), (cells,), stream_key(0, "pulses"))
    crossbar.conductance[:] = start
    moved = np.flatnonzero(start != end)
    pulses = crossbar.program(moved, end[moved], 0.0).pulses
    assert pulses.mean() == pytest.approx(8.52, rel=0.02)


@pytest.mark.parametrize(("microampere", "picojoule"), [(10, 12), (20, 24), (30, 36), (40, 48)])
def test_pulse_energy_of_the_ihp_array(microampere: float, picojoule: float) -> None:
    """Perez et al. 2021: 1.2 V x 10-40 uA x 1 us."""
    device = DeviceModel.load("milo2021")
    conductance = microampere * 1e-6 / 0.2  # trigger current at the read voltage
    limit = device.set_compliance_voltage
    energy = pulse_energy(device.set_voltage, conductance, device.access_resistance, limit, 1e-6)
    assert energy == pytest.approx(picojoule * 1e-12, rel=1e-9)


@pytest.mark.parametrize(
    ("volt", "siemens", "access", "second", "joule"),
    [
        (1.75, 4e-6, 0.0, 8.52e-6, 104.4e-12),  # NeuRRAM cell, CiMLoop
        (1.75, 1e-6, 0.0, 8.52e-6, 26.1e-12),
        (2.0, 1 / 1333, 543.0, 40e-9, 85.29e-12),  # ISAAC-class cell with its line
        (0.5, 1 / 6e3, 195e3, 10e-9, 12.44e-15),  # NeuroSim's default cell, one read
    ],
)
def test_pulse_energy_against_other_tools(
    volt: float, siemens: float, access: float, second: float, joule: float
) -> None:
    assert pulse_energy(volt, siemens, access, 0.0, second) == pytest.approx(joule, rel=1e-3)


def test_datasheet_values() -> None:
    device = DeviceModel.load("milo2021")
    assert device.pulses_per_level == pytest.approx(121 / 8)
    assert "50 µS to 225 µS" in str(device)
    assert {"milo2021", "perez2021"} <= set(device.sources())
