"""What reads cost: counts, components, time; and designs that make no sense."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from crossbar_sim import Chip, Hardware, SpecError
from crossbar_sim.hardware.architecture import Architecture, Component
from crossbar_sim.hardware.components import READING
from crossbar_sim.hardware.converters import ADC
from crossbar_sim.hardware.technology import arithmetic_energy, dram_energy, energy_scale, sram_energy
from crossbar_sim.ledger.datasheet import datasheet
from crossbar_sim.ledger.read_costs import array_counts, read_costs, read_counts, read_time
from crossbar_sim.mapping.layout import Layout


def part(**changes: Any) -> Component:
    return Component(
        **{"name": "x", "billed_as": "buffer", "level": "core", "per": "input", "energy": 1e-12, **changes}
    )


@given(st.integers(1, 5), st.integers(1, 5), st.sampled_from([(1, None), (2, 1), (3, 1)]), st.booleans())
def test_costs_add_over_tiles_and_slices(
    milo: Hardware, row_tiles: int, column_tiles: int, sliced: tuple[int, int | None], back: bool
) -> None:
    slices, bits = sliced
    tile = milo.tile.replace(rows=32, columns=48, slices=slices, slice_bits=bits)
    design = Architecture(input_cycles=3, conversions=2, components=(part(per="read"),))
    hardware = milo.replace(tile=tile, architecture=design)
    whole = read_counts(hardware, Layout(tile, 32 * row_tiles, tile.outputs * column_tiles), back)
    one = read_counts(hardware, Layout(tile, 32, tile.outputs), back)
    phases = slices if back else 1
    assert whole.arrays == row_tiles * column_tiles and one.arrays == 1
    assert whole.drives == one.drives * whole.arrays and whole.conversions == one.conversions * whole.arrays
    assert one.conversions == 2 * (32 * slices if back else tile.outputs * slices)
    assert whole.events("read") == 3 * phases * whole.arrays and whole.events("drive") == 3 * phases * whole.drives
    costs = {name: energy for name, _, energy in read_costs(hardware, whole).converters}
    alone = {name: energy for name, _, energy in read_costs(hardware, one).converters}
    assert min(costs.values()) >= 0
    assert costs["buffer"] == pytest.approx(alone["buffer"] * whole.arrays)
    assert costs["ADC"] == pytest.approx(alone["ADC"] * whole.arrays)


def test_every_event_and_power_is_billed_and_summed_up_by_the_datasheet(milo: Hardware) -> None:
    events = (
        "vector",
        "input",
        "output",
        "input_bit",
        "output_bit",
        "drive",
        "sense",
        "read",
        "conversion",
        "conversion_bit",
    )
    parts = [part(name=event, billed_as=READING[4 + i % 8], per=event) for i, event in enumerate(events)]  # type: ignore[arg-type]
    parts.append(part(name="always on", billed_as="bus", per="time", energy=None, power=1e-3, level="chip"))
    parts.append(part(name="idle", per="time", energy=None, count=2, leakage=1e-6, area=1e-9))
    design = Architecture(input_cycles=2, arrays_per_core=3, tiles_per_chip=5, components=tuple(parts))
    hardware = milo.replace(architecture=design)
    counts = array_counts(hardware)
    sheet, costs = datasheet(hardware), read_costs(hardware, counts)
    ours = sum(energy for name, _, energy in costs.converters if name != "arithmetic")
    cells = read_costs(hardware, counts).cell_energy(128 * 128 * (50e-6 + 225e-6) / 2, 1)
    assert sheet.energy("chip") == pytest.approx(ours + cells)
    assert sheet["chip"].area == pytest.approx(2 * 5 * 1e-9) and design.leakage == pytest.approx(2 * 5 * 1e-6)
    assert sheet["chip"].power == pytest.approx(15 * sheet.energy("chip") / sheet.mvm_time + design.leakage)
    chip = Chip(hardware)
    chip.matrix("a", torch.rand(5, 7) - 0.5)(torch.randn(4, 7))
    billed = chip.ledger.by_component()
    assert all(billed[name] > 0 for name in ("buffer", "bus", "registers", "leakage"))
    assert billed["leakage"] == pytest.approx(design.leakage * chip.ledger.time())


def test_a_stated_component_replaces_the_built_in_term(milo: Hardware) -> None:
    core = part(
        billed_as="control", includes=("cell reads", "DAC", "ADC", "shift-add"), per="time", energy=None, power=0.1
    )
    hardware = milo.replace(architecture=Architecture(components=(core,)))
    chip = Chip(hardware)
    matrix = chip.matrix("a", torch.rand(5, 7) - 0.5)
    before = chip.ledger.energy(None, ("verify sensing",))
    matrix(torch.randn(4, 7))
    billed = chip.ledger.by_component()
    assert billed["control"] == pytest.approx(4 * 0.1 * read_time(hardware, array_counts(hardware)))
    assert billed["cell reads"] == billed["DAC"] == billed["ADC"] == billed["shift-add"] == 0
    assert billed["verify sensing"] == before > 0
    assert {"cell reads", "DAC"} <= set(hardware.unbilled) and "control" not in hardware.unbilled


@pytest.mark.parametrize("direction", [False, True])
def test_doubling_the_conductance_doubles_the_cells_and_nothing_else(milo: Hardware, direction: bool) -> None:
    counts = read_counts(milo, Layout(milo.tile, 128, 64), direction)
    once, twice = (read_costs(milo, counts).cell_energy(conduction, 3) for conduction in (1.0, 2.0))
    assert twice == 2 * once == pytest.approx(2 * milo.device.read_voltage**2 * milo.device.read_time)


@pytest.mark.parametrize(("pipelined", "nanoseconds"), [(False, 16 * 100 + 4 * 50 + 7), (True, 16 * 100 + 7)])
def test_time_of_a_read(milo: Hardware, pipelined: bool, nanoseconds: float) -> None:
    design = Architecture(input_cycles=16, conversions=4, pipelined=pipelined, overhead_time=7e-9)
    assert milo.device.read_time == 100e-9 and milo.adc.columns_per_adc / milo.adc.sample_rate == 50e-9
    designed = milo.replace(architecture=design)
    assert read_time(designed, array_counts(designed)) == pytest.approx(nanoseconds * 1e-9)
    assert read_time(milo, array_counts(milo)) == pytest.approx(150e-9)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"billed_as": "bufer"}, "did you mean 'buffer'?"),
        ({"includes": ("dac",)}, "no ledger component 'dac'"),
        ({"per": "time"}, "per = 'time' takes a power only"),
        ({"power": 1.0}, "exactly one of the two"),
        ({"energy": None}, "exactly one of the two"),
        ({"energy": None, "power": 1.0}, "power and rate go together"),
    ],
)
def test_components_that_make_no_sense(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecError, match=message):
        part(**changes)


@pytest.mark.parametrize(
    "changes",
    [
        {"power": 1e-3},
        {"energy_model": "stated"},
        {"energy_model": "neurosim_sar"},
        {"energy_model": "neurosim_sar", "column_resistance": 1e4, "technology": 40e-9},
    ],
)
def test_adc_models_that_lack_something(milo: Hardware, changes: dict[str, Any]) -> None:
    with pytest.raises(SpecError, match=r"go together|no coefficients for 40 nm"):
        milo.adc.replace(**changes)


def test_adc_models(milo: Hardware) -> None:
    stated: ADC = milo.adc.replace(energy_model="stated", power=2e-3)
    assert stated.energy == pytest.approx(1.5625e-12)
    sar = milo.replace(adc=milo.adc.replace(energy_model="neurosim_sar", column_resistance=1e4))
    assert sar.adc.energy == pytest.approx(0.2345e-12, rel=1e-3)
    assert "neurosim" in sar.sources() and "andrulis2024adc" not in sar.sources()


@pytest.mark.parametrize(
    "call",
    [
        lambda: energy_scale(45, 5),
        lambda: sram_energy(16, 32, 45),
        lambda: arithmetic_energy("int8 ad", 45),
        lambda: dram_energy("HBM", 8),
    ],
)
def test_technology_without_data_is_refused(call: Any) -> None:
    with pytest.raises(SpecError, match=r"valid|Valid|outside"):
        call()
