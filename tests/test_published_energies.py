"""Energies, powers, areas and times that were published for circuits, cells and whole chips, from our functions."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from crossbar_sim import Hardware
from crossbar_sim.adc_energy import neurosim_sar_energy, neurosim_sar_time, survey_area, survey_energy
from crossbar_sim.architecture import Architecture, Component
from crossbar_sim.counter_random import stream_key
from crossbar_sim.crossbar import Crossbar
from crossbar_sim.datasheet import Datasheet, datasheet
from crossbar_sim.devices import DeviceModel
from crossbar_sim.devices.kernels import pulse_energy
from crossbar_sim.neurosim_accounting import cell_write_energy
from crossbar_sim.technology import arithmetic_energy, dram_energy, energy_scale, sram_energy
from crossbar_sim.write_costs import half_select_factor


def isaac() -> Datasheet:
    return datasheet(Hardware.load("isaac_ce"))


def hermes(phases: int) -> Datasheet:
    chip = Hardware.load("hermes")
    assert chip.architecture is not None
    return datasheet(chip.replace(architecture=chip.architecture.replace(input_cycles=phases)))


def neurram_operation(output_bits: int, input_bits: int) -> float:
    chip = Hardware.load("neurram")
    assert chip.architecture is not None
    design = chip.architecture.replace(input_cycles=max(input_bits - 1, 1), conversions=1 + (input_bits > 4))
    sheet = datasheet(chip.replace(adc=chip.adc.replace(bits=output_bits), architecture=design))
    return sheet.energy("chip") / sheet.mvm_operations


def full_sweep(harmonic: bool) -> float:
    """Joule of 128 pulses from 1 to 10 uS at 1.6 V, 50 ns."""
    if harmonic:
        one = cell_write_energy(np.array([1e-6]), np.array([1e-5]), 1.6, 50e-9, np.array([128]))
        return float(one[0]) / 2  # NeuroSim doubles V^2 besides
    device = DeviceModel.load("wu2018").without_programming_error().replace(
        set_nonlinearity=None, reset_nonlinearity=None, access_resistance=0.0
    )  # fmt: skip
    cell = Crossbar(device, (1,), stream_key(0, "cell"))
    return float(cell.program(np.array([0]), np.array([device.g_max]), 0.0).set_energy[0])


def perez_pulse(ampere: float) -> float:
    device = DeviceModel.load("milo2021")
    limit = device.set_compliance_voltage
    assert limit is not None
    return float(pulse_energy(device.set_voltage, ampere / limit, 0.0, limit, device.pulse_width))


def marinella_mac() -> float:
    """1024 x 1024 cells that cost 12.8 nJ per read."""
    block = Component(name="block", billed_as="cell reads", level="array", per="read", energy=12.8e-9,
                      includes=["DAC", "ADC", "shift-add"])  # fmt: skip
    milo = Hardware.load("milo2021_128x128")
    chip = milo.replace(tile=milo.tile.replace(rows=1024, columns=1024),
                        architecture=Architecture(cells_per_weight=1, components=(block,)))  # fmt: skip
    return datasheet(chip).energy("array") / (datasheet(chip).mvm_operations / 2)


ROWS: list[tuple[str, Callable[[], float], float, float]] = [
    # what, how, published, relative tolerance
    ("Shafiee 2016: IMA", lambda: isaac()["core"].power, 24.08e-3, 0.01),
    ("Shafiee 2016: tile", lambda: isaac()["tile"].power, 329.8e-3, 0.01),
    ("Shafiee 2016: tile area", lambda: isaac()["tile"].area, 0.372e-6, 0.01),
    ("Shafiee 2016: chip", lambda: isaac()["chip"].power, 65.8, 0.01),
    ("Shafiee 2016: chip area", lambda: isaac()["chip"].area, 85.4e-6, 0.01),
    ("Shafiee 2016: peak", lambda: isaac()["chip"].operations_per_second, 41.3e12, 0.01),
    ("Shafiee 2016: array", lambda: isaac()["array"].operations_per_second, 2.56e9, 1e-9),
    ("Shafiee 2016: per area, computed from its table", lambda: isaac()["chip"].operations_per_second
     / isaac()["chip"].area, 483.5e15, 0.01),
    ("Shafiee 2016: per area, as printed", lambda: isaac()["chip"].operations_per_second / isaac()["chip"].area,
     479e15, 0.015),
    ("Shafiee 2016: 16-bit MVM of an array", lambda: isaac().energy("core"), 4.816e-9, 0.001),
    ("Shafiee 2016: its converters", lambda: isaac().mvm_energy["core"]["ADC"], 3.2e-9, 0.001),
    ("Shafiee 2016: multiply-accumulate in an IMA", lambda: isaac().energy("core") / 2048, 2.352e-12, 0.001),
    ("Shafiee 2016: multiply-accumulate in a tile", lambda: isaac().energy("tile") / 2048, 2.68e-12, 0.005),
    ("Shafiee 2016: time", lambda: isaac().mvm_time, 1.6e-6, 1e-9),
    ("Andrulis 2024: 8 bit, 32 nm, 1.28 GS/s", lambda: survey_energy(8, 32e-9, 1.28e9), 1.9292e-12, 1e-3),
    ("Andrulis 2024: 6 bit, 22 nm", lambda: survey_energy(6, 22e-9, 1.28e9), 0.5266e-12, 1e-3),
    ("Andrulis 2024: 12 bit, 65 nm", lambda: survey_energy(12, 65e-9, 1.28e9), 594.35e-12, 1e-3),
    ("Andrulis 2024: area", lambda: survey_area(32e-9, 1.28e9, 1.9292e-12), 6469.3e-12, 1e-3),
    ("Andrulis 2024: flat at 1 MS/s", lambda: survey_energy(8, 32e-9, 1e6), 1.7137e-12, 1e-3),
    ("Andrulis 2024: flat at 1 GS/s", lambda: survey_energy(8, 32e-9, 1e9), 1.7137e-12, 1e-3),
    ("NeuroSim SAR: 8 bit, 10 kohm, 32 nm", lambda: neurosim_sar_energy(8, 32e-9, 1e4), 0.2345e-12, 1e-3),
    ("NeuroSim SAR: 8 bit, 10 kohm, 22 nm", lambda: neurosim_sar_energy(8, 22e-9, 1e4), 0.1431e-12, 1e-3),
    ("NeuroSim SAR: 6 bit, 100 kohm, 32 nm", lambda: neurosim_sar_energy(6, 32e-9, 1e5), 115.5e-15, 1e-3),
    ("NeuroSim SAR: 4 bit, 100 kohm, 22 nm", lambda: neurosim_sar_energy(4, 22e-9, 1e5), 36.3e-15, 2e-3),
    ("NeuroSim SAR: time", lambda: neurosim_sar_time(8), 9e-9, 1e-9),
    ("Read: 0.5 V, 201 kohm, 10 ns", lambda: pulse_energy(0.5, 1 / 201e3, 0.0, 0.0, 10e-9), 12.44e-15, 1e-3),
    ("Read: 0.2 V, 1876 ohm, 10 ns", lambda: pulse_energy(0.2, 1 / 1876, 0.0, 0.0, 10e-9), 213.2e-15, 1e-3),
    ("CiMLoop ISAAC cell: write", lambda: pulse_energy(2.0, 1 / 1333, 543.0, 0.0, 40e-9), 85.29e-12, 1e-3),
    ("CiMLoop NeuroSim cell: write", lambda: pulse_energy(2.0, 1 / 6e3, 195e3, 0.0, 50e-9), 0.995e-12, 1e-3),
    ("CiMLoop NeuRRAM cell: 4 uS", lambda: pulse_energy(1.75, 4e-6, 0.0, 0.0, 8.52e-6), 104.4e-12, 1e-3),
    ("CiMLoop NeuRRAM cell: 1 uS", lambda: pulse_energy(1.75, 1e-6, 0.0, 0.0, 8.52e-6), 26.1e-12, 1e-3),
    ("Wu 2018: full sweep, arithmetic mean", lambda: full_sweep(harmonic=False), 90.1e-12, 1e-3),
    ("Wu 2018: full sweep, harmonic mean", lambda: full_sweep(harmonic=True), 29.8e-12, 2e-3),
    ("Perez 2021: pulse at 10 uA", lambda: perez_pulse(10e-6), 12e-12, 1e-9),
    ("Perez 2021: pulse at 40 uA", lambda: perez_pulse(40e-6), 48e-12, 1e-9),
    ("V/2, 128 x 128 resistors", lambda: 254 * half_select_factor("V/2", 2.0), 63.5, 1e-9),
    ("V/2, selectors of 10", lambda: 254 * half_select_factor("V/2", 10.0), 12.7, 1e-9),
    ("V/3, 128 x 128 resistors", lambda: (128**2 - 1) * half_select_factor("V/3", 2.0), 1820, 1e-3),
    ("NeuRRAM, 3-bit outputs, 1-bit inputs", lambda: neurram_operation(3, 1), 23.06e-15, 0.02),
    ("NeuRRAM, 4 and 2", lambda: neurram_operation(4, 2), 24.6e-15, 0.02),
    ("NeuRRAM, 6 and 4", lambda: neurram_operation(6, 4), 62.4e-15, 0.02),
    ("NeuRRAM, 8 and 6", lambda: 1e-12 / neurram_operation(8, 6), 9.18, 0.02),
    ("NeuRRAM, 10 and 8", lambda: neurram_operation(10, 8), 153.9e-15, 0.02),
    ("HERMES, one phase", lambda: hermes(1).mvm_time, 133e-9, 0.005),
    ("HERMES, one phase", lambda: hermes(1).energy("chip"), 13.4e-9, 0.005),
    ("HERMES, multiply-accumulate", lambda: hermes(1).energy("chip") / 65536, 205e-15, 0.005),
    ("HERMES, four phases", lambda: hermes(4).mvm_time, 521e-9, 0.005),
    ("HERMES, four phases", lambda: hermes(4).energy("chip"), 52.9e-9, 0.005),
    ("CACTI: 64 KB, 64 bit, 45 nm", lambda: sram_energy(64, 64, 45), 25.87e-12, 0.15),
    ("CACTI: 64 KB, 64 bit, 32 nm, between two runs", lambda: sram_energy(64, 64, 32), 12.87e-12, 0.15),
    ("CACTI: 64 KB, 64 bit, 22 nm", lambda: sram_energy(64, 64, 22), 5.67e-12, 0.15),
    ("Stillmaker 2017: 45 to 22 nm", lambda: energy_scale(45, 22), 0.2941, 1e-3),
    ("Stillmaker 2017: 45 to 7 nm", lambda: energy_scale(45, 7), 0.0943, 1e-3),
    ("Stillmaker 2017: 45 to 32 nm", lambda: energy_scale(45, 32), 0.659, 1e-3),
    ("Stillmaker 2017: 130 to 32 nm", lambda: energy_scale(130, 32), 0.215, 3e-3),
    ("Horowitz 2014 at 32 nm: float32 multiply", lambda: arithmetic_energy("float32 multiply", 32), 2.438e-12, 1e-3),
    ("Horowitz 2014 at 28 nm: int8 multiply-accumulate",
     lambda: arithmetic_energy("int8 multiply", 28) + arithmetic_energy("int8 add", 28), 0.118e-12, 0.01),
    ("CACTI: DDR3", lambda: dram_energy("DDR3", 64), 64 * 70e-12, 1e-9),
    ("Marinella 2018: multiply-accumulate", marinella_mac, 12.2e-15, 0.005),
    ("MNSIM's 256 x 256 array, written physically",
     lambda: 256**2 * pulse_energy(1.5, 10e-6, 0.0, 0.0, 10e-9), 14.75e-9, 1e-3),
]  # fmt: skip


@pytest.mark.parametrize(("compute", "published", "tolerance"), [row[1:] for row in ROWS], ids=[row[0] for row in ROWS])
def test_published(compute: Callable[[], float], published: float, tolerance: float) -> None:
    assert compute() == pytest.approx(published, rel=tolerance)


def test_horowitz_cache_is_of_the_same_decade_as_cacti() -> None:
    assert 0.1 < sram_energy(64, 64, 45) / 20e-12 < 10
