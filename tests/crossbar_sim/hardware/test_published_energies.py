"""Energies, powers, areas and times that were published for circuits, cells and whole chips, from our functions."""

from __future__ import annotations

from collections.abc import Callable
from math import inf

import numpy as np
import pytest

from crossbar_sim import Hardware
from crossbar_sim.cells.cells import Cells
from crossbar_sim.devices import DeviceModel
from crossbar_sim.devices.pulse_response.compiled import pulse_energy
from crossbar_sim.hardware.adc_energy import neurosim_sar_energy, neurosim_sar_time, survey_energy
from crossbar_sim.hardware.architecture import Architecture, Component
from crossbar_sim.hardware.technology import arithmetic_energy, dram_energy, energy_scale, sram_energy
from crossbar_sim.ledger.datasheet import Datasheet, datasheet
from crossbar_sim.ledger.neurosim import cell_write_energy
from crossbar_sim.ledger.write_costs import WriteCounts, half_select_factor, write_costs
from crossbar_sim.runtime.counter_random import stream_key
from crossbar_sim.wear.statistics import adaptations_until_wearout, wear


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
    device = (
        DeviceModel.load("wu2018")
        .without_programming_error()
        .replace(set_nonlinearity=None, reset_nonlinearity=None, access_resistance=0.0)
    )
    cell = Cells(device, (1,), stream_key(0, "cell"))
    return float(cell.program(np.array([0]), np.array([device.g_max]), 0.0).set_energy[0])


def perez_pulse(ampere: float) -> float:
    device = DeviceModel.load("milo2021")
    limit = device.set_compliance_voltage
    assert limit is not None
    return float(pulse_energy(device.set_voltage, ampere / limit, 0.0, limit, device.pulse_width))


def marinella_mac() -> float:
    """1024 x 1024 cells that cost 12.8 nJ per read."""
    block = Component(
        name="block",
        billed_as="cell reads",
        level="array",
        per="read",
        energy=12.8e-9,
        includes=["DAC", "ADC", "shift-add"],
    )
    milo = Hardware.load("milo2021_128x128")
    chip = milo.replace(
        tile=milo.tile.replace(rows=1024, columns=1024),
        architecture=Architecture(cells_per_weight=1, components=(block,)),
    )
    return datasheet(chip).energy("array") / (datasheet(chip).mvm_operations / 2)


def survey_corner() -> float:
    """The sample rate (1/s) from which on an 8-bit ADC at 32 nm costs more than the slowest, by bisection."""
    low, high, flat = 1e8, 1e10, survey_energy(8, 32e-9, 1e6)
    for _ in range(60):
        middle = (low * high) ** 0.5
        low, high = (low, middle) if survey_energy(8, 32e-9, middle) > flat * (1 + 1e-9) else (middle, high)
    return low


def adaptations(endurance: float, writes: float) -> float:
    found = adaptations_until_wearout(endurance, writes)
    assert found is not None
    return found


def chimera_writes() -> float:
    """Ten years at 20 samples a minute, one write in 283 samples."""
    return 10 * 365 * 24 * 60 * 20 / 283


def full_over_lora() -> tuple[float, float]:
    """A 1024 x 1024 layer against LoRA of rank 8, every cell written once per step at the same price, three steps."""
    milo, steps = Hardware.load("milo2021_128x128"), 3

    def price(cells: int) -> float:
        counts = WriteCounts(cells, 8 * cells, 0, 9 * cells, cells, 0, 1e-10 * cells, 0.0, 1e-12 * cells, cells, 0.0)
        return write_costs(milo, counts).energy

    cells = 2 * 1024 * 1024, 2 * 8 * (1024 + 1024)
    most = [wear(np.full(count, steps)).largest for count in cells]
    return price(cells[0]) / price(cells[1]), most[0] / most[1]


def mnsim_row() -> float:
    """Joule of one pulse of 1.5 V and 10 ns on the 256 cells of a row, each of 100 kohm."""
    return 256 * float(pulse_energy(1.5, 1e-5, 0.0, inf, 10e-9))


ROWS: list[tuple[str, str, str, Callable[[], float], float, float]] = [
    # row of the table of test vectors, source, what, how, published, relative tolerance
    ("T1", "shafiee2016", "IMA", lambda: isaac()["core"].power, 24.08e-3, 0.01),
    ("T1", "shafiee2016", "tile", lambda: isaac()["tile"].power, 329.8e-3, 0.01),
    ("T1", "shafiee2016", "tile area", lambda: isaac()["tile"].area, 0.372e-6, 0.01),
    ("T1", "shafiee2016", "chip", lambda: isaac()["chip"].power, 65.8, 0.01),
    ("T1", "shafiee2016", "chip area", lambda: isaac()["chip"].area, 85.4e-6, 0.01),
    ("T2", "shafiee2016", "peak", lambda: isaac()["chip"].operations_per_second, 41.3e12, 0.01),
    ("T2", "shafiee2016", "array", lambda: isaac()["array"].operations_per_second, 2.56e9, 1e-9),
    (
        "T2",
        "shafiee2016",
        "per area, computed from its table",
        lambda: isaac()["chip"].operations_per_second / isaac()["chip"].area,
        483.5e15,
        0.01,
    ),
    (
        "T2",
        "shafiee2016",
        "per area, as printed",
        lambda: isaac()["chip"].operations_per_second / isaac()["chip"].area,
        479e15,
        0.015,
    ),
    ("T3", "shafiee2016", "16-bit MVM of an array", lambda: isaac().energy("core"), 4.816e-9, 0.001),
    ("T3", "shafiee2016", "its converters", lambda: isaac().mvm_energy["core"]["ADC"], 3.2e-9, 0.001),
    ("T3", "shafiee2016", "multiply-accumulate in an IMA", lambda: isaac().energy("core") / 2048, 2.352e-12, 0.001),
    ("T3", "shafiee2016", "multiply-accumulate in a tile", lambda: isaac().energy("tile") / 2048, 2.68e-12, 0.005),
    ("T3", "shafiee2016", "time", lambda: isaac().mvm_time, 1.6e-6, 1e-9),
    ("T4", "andrulis2024adc", "8 bit, 32 nm, 1.28 GS/s", lambda: survey_energy(8, 32e-9, 1.28e9), 1.9292e-12, 1e-3),
    ("T4", "andrulis2024adc", "6 bit, 22 nm", lambda: survey_energy(6, 22e-9, 1.28e9), 0.5266e-12, 1e-3),
    ("T4", "andrulis2024adc", "12 bit, 65 nm", lambda: survey_energy(12, 65e-9, 1.28e9), 594.35e-12, 1e-3),
    ("T5", "andrulis2024adc", "flat at 1 MS/s", lambda: survey_energy(8, 32e-9, 1e6), 1.7137e-12, 1e-3),
    ("T5", "andrulis2024adc", "flat at 1 GS/s", lambda: survey_energy(8, 32e-9, 1e9), 1.7137e-12, 1e-3),
    ("T5", "andrulis2024adc", "where it stops to be flat", survey_corner, 1.070e9, 2e-3),
    ("T6", "neurosim", "SAR: 8 bit, 10 kohm, 32 nm", lambda: neurosim_sar_energy(8, 32e-9, 1e4), 0.2345e-12, 1e-3),
    ("T6", "neurosim", "SAR: 8 bit, 10 kohm, 22 nm", lambda: neurosim_sar_energy(8, 22e-9, 1e4), 0.1431e-12, 1e-3),
    ("T6", "neurosim", "SAR: 6 bit, 100 kohm, 32 nm", lambda: neurosim_sar_energy(6, 32e-9, 1e5), 115.5e-15, 1e-3),
    ("T6", "neurosim", "SAR: 4 bit, 100 kohm, 22 nm", lambda: neurosim_sar_energy(4, 22e-9, 1e5), 36.3e-15, 2e-3),
    ("T6", "neurosim", "SAR: time", lambda: neurosim_sar_time(8), 9e-9, 1e-9),
    (
        "T7",
        "ohm",
        "0.5 V, 201 kohm, 10 ns",
        lambda: pulse_energy(0.5, 1 / 201e3, 0.0, inf, 10e-9),
        12.44e-15,
        1e-3,
    ),
    ("T7", "ohm", "0.2 V, 1876 ohm, 10 ns", lambda: pulse_energy(0.2, 1 / 1876, 0.0, inf, 10e-9), 213.2e-15, 1e-3),
    (
        "T8",
        "CiMLoop",
        "ISAAC cell: write",
        lambda: pulse_energy(2.0, 1 / 1333, 543.0, inf, 40e-9),
        85.29e-12,
        1e-3,
    ),
    (
        "T8",
        "CiMLoop",
        "NeuroSim cell: write",
        lambda: pulse_energy(2.0, 1 / 6e3, 195e3, inf, 50e-9),
        0.995e-12,
        1e-3,
    ),
    ("T9", "CiMLoop", "NeuRRAM cell: 4 uS", lambda: pulse_energy(1.75, 4e-6, 0.0, inf, 8.52e-6), 104.4e-12, 1e-3),
    ("T9", "CiMLoop", "NeuRRAM cell: 1 uS", lambda: pulse_energy(1.75, 1e-6, 0.0, inf, 8.52e-6), 26.1e-12, 1e-3),
    ("T10", "wu2018", "full sweep, arithmetic mean", lambda: full_sweep(harmonic=False), 90.1e-12, 1e-3),
    ("T10", "wu2018", "full sweep, harmonic mean", lambda: full_sweep(harmonic=True), 29.8e-12, 2e-3),
    ("T11", "perez2021", "pulse at 10 uA", lambda: perez_pulse(10e-6), 12e-12, 1e-9),
    ("T11", "perez2021", "pulse at 20 uA", lambda: perez_pulse(20e-6), 24e-12, 1e-9),
    ("T11", "perez2021", "pulse at 30 uA", lambda: perez_pulse(30e-6), 36e-12, 1e-9),
    ("T11", "perez2021", "pulse at 40 uA", lambda: perez_pulse(40e-6), 48e-12, 1e-9),
    ("T12", "ohm", "V/2, 128 x 128 resistors", lambda: 254 * half_select_factor("V/2", 2.0), 63.5, 1e-9),
    ("T12", "ohm", "V/2, selectors of 10", lambda: 254 * half_select_factor("V/2", 10.0), 12.7, 1e-9),
    ("T12", "ohm", "V/3, 128 x 128 resistors", lambda: (128**2 - 1) * half_select_factor("V/3", 2.0), 1820, 1e-3),
    ("T13", "wan2022", "3-bit outputs, 1-bit inputs", lambda: neurram_operation(3, 1), 23.06e-15, 0.02),
    ("T13", "wan2022", "3 and 1, operations per joule", lambda: 1e-12 / neurram_operation(3, 1), 43.4, 0.02),
    ("T13", "wan2022", "4 and 2", lambda: neurram_operation(4, 2), 24.6e-15, 0.02),
    ("T13", "wan2022", "6 and 4", lambda: neurram_operation(6, 4), 62.4e-15, 0.02),
    ("T13", "wan2022", "8 and 6", lambda: neurram_operation(8, 6), 108.9e-15, 0.02),
    ("T13", "wan2022", "8 and 6, operations per joule", lambda: 1e-12 / neurram_operation(8, 6), 9.18, 0.02),
    ("T13", "wan2022", "10 and 8", lambda: neurram_operation(10, 8), 153.9e-15, 0.02),
    ("T14", "legallo2023", "one phase, time", lambda: hermes(1).mvm_time, 133e-9, 0.005),
    ("T14", "legallo2023", "one phase", lambda: hermes(1).energy("chip"), 13.4e-9, 0.005),
    ("T14", "legallo2023", "multiply-accumulate", lambda: hermes(1).energy("chip") / 65536, 205e-15, 0.005),
    ("T14", "legallo2023", "four phases, time", lambda: hermes(4).mvm_time, 521e-9, 0.005),
    ("T14", "legallo2023", "four phases", lambda: hermes(4).energy("chip"), 52.9e-9, 0.005),
    ("T18", "cacti", "64 KB, 64 bit, 45 nm", lambda: sram_energy(64, 64, 45), 25.87e-12, 0.15),
    ("T18", "cacti", "64 KB, 64 bit, 32 nm, between two runs", lambda: sram_energy(64, 64, 32), 12.87e-12, 0.15),
    ("T18", "cacti", "64 KB, 64 bit, 22 nm", lambda: sram_energy(64, 64, 22), 5.67e-12, 0.15),
    ("T18", "horowitz2014", "32 KB, 64 bit, 45 nm: the same decade", lambda: sram_energy(64, 64, 45), 20e-12, 9.0),
    ("T19", "stillmaker2017", "45 to 22 nm", lambda: energy_scale(45, 22), 0.2941, 1e-3),
    ("T19", "stillmaker2017", "45 to 7 nm", lambda: energy_scale(45, 7), 0.0943, 1e-3),
    ("T19", "stillmaker2017", "45 to 32 nm", lambda: energy_scale(45, 32), 0.659, 1e-3),
    ("T19", "stillmaker2017", "130 to 32 nm", lambda: energy_scale(130, 32), 0.215, 3e-3),
    ("T20", "marinella2018", "multiply-accumulate", marinella_mac, 12.2e-15, 0.005),
    ("T21", "arithmetic", "10,000 writes per adaptation", lambda: adaptations(1e6, 1e4), 100, 0),
    ("T21", "arithmetic", "one write per adaptation", lambda: adaptations(1e6, 1), 1e6, 0),
    ("T22", "CHIMERA, JSSC 2022", "writes in ten years of 20 samples a minute", chimera_writes, 3.714e5, 1e-3),
    (
        "T22",
        "CHIMERA, JSSC 2022",
        "samples those writes last for",
        lambda: adaptations(chimera_writes(), 1 / 283),
        1.0512e8,
        1e-6,
    ),
    ("T23", "arithmetic", "1024 x 1024 over LoRA of rank 8: energy", lambda: full_over_lora()[0], 64, 1e-9),
    ("T23", "arithmetic", "the same: most writes of one cell", lambda: full_over_lora()[1], 1, 0),
    ("T24", "MNSIM", "256 x 256 written, every row its pulse", lambda: 256 * mnsim_row(), 14.75e-9, 1e-3),
    ("T24", "MNSIM", "as coded: one row for all", mnsim_row, 0.0576e-9, 1e-3),
    (
        "-",
        "horowitz2014",
        "float32 multiply at 32 nm",
        lambda: arithmetic_energy("float32 multiply", 32),
        2.438e-12,
        1e-3,
    ),
    (
        "-",
        "horowitz2014",
        "int8 multiply-accumulate at 28 nm",
        lambda: arithmetic_energy("int8 multiply", 28) + arithmetic_energy("int8 add", 28),
        0.118e-12,
        0.01,
    ),
    ("-", "cacti", "DDR3", lambda: dram_energy("DDR3", 64), 64 * 70e-12, 1e-9),
]


@pytest.mark.parametrize(
    ("row", "source", "what", "compute", "published", "tolerance"),
    ROWS,
    ids=[f"{row} {source}: {what}" for row, source, what, *_ in ROWS],
)
def test_published(
    row: str, source: str, what: str, compute: Callable[[], float], published: float, tolerance: float
) -> None:
    assert compute() == pytest.approx(published, rel=tolerance), (row, source, what)
