"""What writing costs: hand checks, slow twins, and what must hold for every design."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import ArrayLike

from crossbar_sim import Chip, Hardware, SpecError
from crossbar_sim.cells.compiled import row_work
from crossbar_sim.cells.written import CellLists, CellsOnDemand, Written
from crossbar_sim.devices.pulse_response.compiled import pulse_energy
from crossbar_sim.hardware.architecture import WriteCircuits
from crossbar_sim.hardware.components import PROGRAMMING
from crossbar_sim.ledger.neurosim import cell_pulses, cell_write_energy, line_write_energy, neurosim_writes
from crossbar_sim.ledger.write_costs import WriteCosts, WriteCounts, count_writes, half_select_energy, write_costs

FEMTO = 1e-15
LINES = WriteCircuits(
    word_line_capacitance=7.872 * FEMTO,
    bit_line_capacitance=3.277 * FEMTO,
    source_line_capacitance=13.06 * FEMTO,
    word_line_voltage=1.1,
)


def programming(
    hardware: Hardware, shape: tuple[int, int, int], cells: ArrayLike, up: ArrayLike, down: ArrayLike, after: float
) -> Written:
    """Programming of cells in `shape` (planes, rows, outputs) with given pulses, every cell ending at `after` siemens;
    conduction counts 1 J per pulse."""
    sets, resets, cells = np.array(up, np.int32), np.array(down, np.int32), np.array(cells)
    device, width = hardware.device, hardware.tile.plane_columns
    reads = sets + resets + 1
    work = np.zeros((shape[1], -(-shape[2] // width), row_work.FIELDS))
    for cell, s, r, v in zip(cells, sets, resets, reads, strict=True):
        _, row, column = np.unravel_index(cell, shape)
        squared = s * device.set_voltage**2 + r * device.reset_voltage**2
        seconds = s * device.pulse_width + r * device.reset_width + v * device.read_time
        here = work[row, column // width]
        here[: row_work.SUMS] += 1, s, r, s, r, v, v * hardware.adc.energy, squared
        here[row_work.SUMS :] = np.maximum(here[row_work.SUMS :], (s + r, seconds))
    lists = CellLists.empty(np.full(cells.size, device.g_min), cells.size)
    lists.achieved[:] = after
    lists.conductance_travel[:] = 0.0
    lists.set_pulses[:], lists.reset_pulses[:], lists.verify_reads[:] = (sets, resets, reads)
    lists.set_energy[:], lists.reset_energy[:], lists.verify_energy[:] = (sets, resets, reads * hardware.adc.energy)
    on_demand = CellsOnDemand(lambda: lists)
    return Written(cells.size, cells, row_work=work, array_rows=hardware.tile.rows, on_demand=on_demand)


@pytest.mark.parametrize(
    ("before", "after", "pulses", "picojoule"),
    [(0, 0.125, 4, 9.228), (0.5, 0.375, 4, 11.933), (-0.9375, 0.9375, 57, 51.62)],
)
def test_one_cell_as_neurosim_bills_it(before: float, after: float, pulses: int, picojoule: float) -> None:
    """100 kohm, on/off 10, 2 V, 50 ns, 60 levels: published hand calculations of the formula, to three digits."""
    g = [np.array([(weight + 1) / 2 * 9e-6 + 1e-6]) for weight in (before, after)]
    counted = cell_pulses(g[0], g[1], 9e-6, 60)
    assert counted.item() == pulses
    assert cell_write_energy(g[0], g[1], 2.0, 50e-9, counted).item() == pytest.approx(picojoule * 1e-12, rel=1e-3)


def lines_row_by_row(up: np.ndarray, down: np.ndarray, columns: int, volt: float) -> float:
    """The obvious twin of `line_write_energy`: every row, every line, one after the other."""
    energy, squared = 0.0, 2 * volt**2
    set_rows = [row for row in range(len(up)) if up[row].any()]
    reset_rows = [row for row in range(len(up)) if down[row].any() and row not in set_rows]
    n_set = sum(int((up[row] > 0).sum()) for row in set_rows) // len(set_rows) if set_rows else 0
    n_reset = sum(int((down[row] > 0).sum()) for row in reset_rows) // len(reset_rows) if reset_rows else 0
    for row in range(len(up)):
        for _ in range(max(up[row])):
            energy += LINES.word_line_capacitance * 1.1**2
            energy += (columns - n_set) * LINES.source_line_capacitance * squared
            energy += n_set * LINES.bit_line_capacitance * squared
        for _ in range(max(down[row])):
            energy += LINES.word_line_capacitance * 1.1**2
            energy += n_reset * LINES.source_line_capacitance * squared
            energy += (columns - n_reset) * LINES.bit_line_capacitance * squared
    return energy


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=25)
def test_lines_of_an_array_as_neurosim_bills_them(seed: int) -> None:
    rng = np.random.default_rng(seed)
    signed = rng.integers(-6, 7, (9, 14)) * (rng.random((9, 14)) < rng.random())
    up, down = np.maximum(signed, 0), np.maximum(-signed, 0)
    ours = line_write_energy(up, down, 16, 2.0, LINES)
    assert ours == pytest.approx(lines_row_by_row(up, down, 16, 2.0), rel=1e-6)


def test_neurosim_accounting_of_a_matrix_is_its_arrays_one_by_one(milo: Hardware) -> None:
    """Two row tiles and two column tiles; each array priced alone by the twin, cells by the formula."""
    hardware = milo.replace(write_circuits=LINES, accounting="neurosim", tile=milo.tile.replace(rows=4, columns=6))
    device, rng, shape = hardware.device, np.random.default_rng(0), (2, 7, 5)
    before, after = rng.uniform(device.g_min, device.g_max, (2, *shape))
    result = programming(hardware, shape, list(range(70)), [0] * 70, [0] * 70, device.g_min)
    result.lists.before[:], result.lists.achieved[:] = before.reshape(-1), after.reshape(-1)
    billed = neurosim_writes(hardware, result, shape)
    cells = lines = 0.0
    for i in np.ndindex(shape):
        p = int(np.ceil(abs(after[i] - before[i]) * device.full_swing_pulses / device.window))
        p *= abs(after[i] - before[i]) * device.full_swing_pulses >= device.window
        volt, width = (
            (device.set_voltage, device.pulse_width)
            if after[i] > before[i]
            else (device.reset_voltage, device.reset_width)
        )
        cells += 2 * volt**2 / ((1 / before[i] + 1 / after[i]) / 2) * width * p
    move = np.ceil(np.abs(after - before) * device.full_swing_pulses / device.window).astype(int)
    move[np.abs(after - before) * device.full_swing_pulses < device.window] = 0
    for top, left in ((0, 0), (0, 3), (4, 0), (4, 3)):
        part = np.s_[:, top : top + 4, left : left + 3]
        up, down = np.where(after > before, move, 0)[part], np.where(after > before, 0, move)[part]
        lines += lines_row_by_row(np.concatenate(list(up), 1), np.concatenate(list(down), 1), 6, device.set_voltage)
    assert billed.set_energy + billed.reset_energy == pytest.approx(cells, rel=1e-6)
    assert billed.line_energy == pytest.approx(lines, rel=1e-6)


@pytest.mark.parametrize("change", [{"write_circuits": None}, {"tile": "passive"}])
def test_neurosim_accounting_needs_what_its_formula_needs(milo: Hardware, change: dict[str, object]) -> None:
    tile = milo.tile.replace(access="passive") if "tile" in change else milo.tile
    with pytest.raises(SpecError, match="accounting = 'neurosim'"):
        milo.replace(accounting="neurosim", tile=tile, write_circuits=None if "write_circuits" in change else LINES)


def half_selected_pulse_by_pulse(hardware: Hardware, result: Written, conductance: np.ndarray) -> float:
    """The obvious twin for one array: every slot, every cell, its voltage."""
    device, tile = hardware.device, hardware.tile
    _, rows, outputs = conductance.shape
    energy = 0.0
    for volt, width, all_pulses in (
        (device.set_voltage, device.pulse_width, result.set_pulses),
        (device.reset_voltage, device.reset_width, result.reset_pulses),
    ):
        pulses = np.zeros(conductance.shape, int)
        pulses.reshape(-1)[result.cells] = all_pulses
        slots: list[list[tuple[int, int, int]]] = []
        if hardware.programming_order == "cell_serial":
            slots = [[i] for i in np.ndindex(conductance.shape) for _ in range(pulses[i])]  # type: ignore[misc]
        else:
            for row in range(rows):
                own = [(side, row, j) for side in range(2) for j in range(outputs)]
                slots += [[i for i in own if pulses[i] > slot] for slot in range(pulses[:, row].max())]
        for selected in slots:
            row, lines = selected[0][1], [(side, j) for side, _, j in selected]
            for i in np.ndindex(conductance.shape):
                on_row, on_column = i[1] == row, (i[0], i[2]) in lines
                if i in selected or (tile.half_select == "V/2" and not (on_row or on_column)):
                    continue
                part = 1 / 2 if tile.half_select == "V/2" else 1 / 3
                energy += (part * volt) ** 2 * conductance[i] * width
    return energy


@pytest.mark.parametrize("scheme", ["V/2", "V/3"])
@pytest.mark.parametrize("order", ["row_parallel", "cell_serial"])
def test_half_selected_cells_against_every_pulse_and_cell(milo: Hardware, scheme: str, order: str) -> None:
    tile = milo.tile.replace(rows=3, columns=4, access="passive", half_select=scheme)
    hardware = milo.replace(tile=tile, programming_order=order)
    conductance = np.random.default_rng(1).uniform(50e-6, 225e-6, (2, 3, 2))
    result = programming(hardware, conductance.shape, [0, 1, 3, 7, 10], [2, 0, 1, 5, 0], [0, 3, 1, 0, 2], 1e-4)
    ours = half_select_energy(hardware, result, conductance)
    assert ours == pytest.approx(half_selected_pulse_by_pulse(hardware, result, conductance), rel=1e-12)


@pytest.mark.parametrize("scheme", ["V/2", "V/3"])
@pytest.mark.parametrize("order", ["row_parallel", "cell_serial"])
def test_half_selected_cells_of_a_matrix_are_those_of_its_tiles(milo: Hardware, scheme: str, order: str) -> None:
    tile = milo.tile.replace(rows=3, columns=4, access="passive", half_select=scheme)
    hardware, rng, shape = milo.replace(tile=tile, programming_order=order), np.random.default_rng(2), (2, 7, 5)
    conductance, cells = rng.uniform(50e-6, 225e-6, shape), rng.choice(70, 30, replace=False)
    up, down = rng.integers(0, 6, (2, 30))
    whole = half_select_energy(hardware, programming(hardware, shape, cells, up, down, 1e-4), conductance)
    parts, place = [], np.full(shape, -1)
    place.reshape(-1)[cells] = np.arange(30)
    for top in (0, 3, 6):
        for left in (0, 2, 4):
            own = place[:, top : top + 3, left : left + 2]
            inside, which = np.flatnonzero(own >= 0), own[own >= 0]
            stored = np.ascontiguousarray(conductance[:, top : top + 3, left : left + 2])
            part = programming(hardware, stored.shape, inside, up[which], down[which], 1e-4)
            parts.append(half_selected_pulse_by_pulse(hardware, part, stored))
    assert whole == pytest.approx(sum(parts), rel=1e-12)


@pytest.mark.parametrize(("scheme", "nonlinearity", "times"), [("V/2", 2, 63.5), ("V/2", 10, 12.7), ("V/3", 2, 1820.3)])
def test_half_selected_cells_of_a_uniform_array(milo: Hardware, scheme: str, nonlinearity: float, times: float) -> None:
    tile = milo.tile.replace(access="passive", half_select=scheme, selector_nonlinearity=nonlinearity)
    hardware = milo.replace(tile=tile)
    result = programming(hardware, (2, 128, 64), [130], [1], [0], 1e-4)
    selected = milo.device.set_voltage**2 * 1e-4 * milo.device.pulse_width
    energy = half_select_energy(hardware, result, np.full((2, 128, 64), 1e-4))
    assert energy == pytest.approx(times * selected, rel=1e-4)


counts_of = st.builds(
    WriteCounts,
    cells=st.integers(0, 99),
    set_pulses=st.integers(0, 999),
    reset_pulses=st.integers(0, 999),
    verify_reads=st.integers(0, 999),
    word_line_slots=st.integers(0, 999),
    rows=st.integers(0, 99),
    set_energy=st.floats(0, 1e-6),
    reset_energy=st.floats(0, 1e-6),
    verify_cell_energy=st.floats(0, 1e-6),
    squared_volts=st.floats(0, 1e4),
    time=st.floats(0, 1),
    half_select_energy=st.floats(0, 1e-6),
)


@given(counts_of)
def test_terms_for_any_counts(milo: Hardware, counts: WriteCounts) -> None:
    circuits = LINES.replace(row_energy=1.31e-12, pump_efficiency=0.5)
    passive = milo.tile.replace(access="passive")
    full = write_costs(milo.replace(tile=passive, write_circuits=circuits), counts)
    terms = {name: energy for name, _, energy in full.terms}
    assert set(terms) == set(PROGRAMMING) and min(terms.values()) >= 0
    rail = terms["SET pulses"] + terms["RESET pulses"] + terms["half-select"] + terms["line charging"]
    assert terms["charge pump"] == pytest.approx(rail)  # half of what is drawn arrives
    assert terms["row drivers"] == counts.rows * 1.31e-12
    assert write_costs(milo.replace(tile=passive), counts).energy >= write_costs(milo, counts).energy
    higher = milo.replace(device=milo.device.replace(set_voltage=milo.device.set_voltage * 1.1))
    assert write_costs(higher, counts).energy >= write_costs(milo, counts).energy


def test_lines_are_charged_once_per_pulse_and_line(milo: Hardware) -> None:
    hardware = milo.replace(write_circuits=LINES)
    result = programming(hardware, (2, 128, 64), [0, 1, 64], [3, 5, 2], [0, 0, 1], 1e-4)
    counts = count_writes(hardware, result, (2, 128, 64))
    assert (counts.word_line_slots, counts.rows) == (5 + 3, 2)
    device, pulsed = hardware.device, 13.06 * FEMTO + 3.277 * FEMTO
    expected = pulsed * (10 * device.set_voltage**2 + device.reset_voltage**2) + 8 * 7.872 * FEMTO * 1.1**2
    terms = {name: energy for name, _, energy in write_costs(hardware, counts).terms}
    assert terms["line charging"] == pytest.approx(expected)
    assert terms["verify sensing"] == pytest.approx(14 * hardware.adc.energy)
    assert terms["verify reads"] == pytest.approx(0, abs=1e-24)


@pytest.mark.parametrize("order", ["row_parallel", "cell_serial"])
def test_slots_and_seconds_row_by_row(milo: Hardware, order: str) -> None:
    hardware = milo.replace(tile=milo.tile.replace(rows=3, columns=4), programming_order=order)
    rng, device, shape = np.random.default_rng(0), hardware.device, (2, 7, 5)
    cells = np.sort(rng.choice(70, 20, replace=False))
    up, down = rng.integers(0, 4, (2, 20))
    result = programming(hardware, shape, cells, up, down, 1e-4)
    slots, rows, longest = 0, 0, 0.0
    for top in (0, 3, 6):
        for left in (0, 2, 4):
            tile_time = 0.0
            for row in range(top, min(top + 3, 7)):
                own = [i for i, cell in enumerate(cells) if cell % 35 // 5 == row and left <= cell % 5 < left + 2]
                times = [
                    up[i] * device.pulse_width
                    + down[i] * device.reset_width
                    + result.verify_reads[i] * device.read_time
                    for i in own
                ]
                merge = sum if order == "cell_serial" else max
                slots += merge([up[i] + down[i] for i in own], **({} if merge is sum else {"default": 0}))
                tile_time += merge(times, **({} if merge is sum else {"default": 0.0}))
                rows += len(own) if order == "cell_serial" else bool(own)
            longest = max(longest, tile_time)
    counts = count_writes(hardware, result, shape)
    assert (counts.word_line_slots, counts.rows) == (slots, rows) and counts.time == pytest.approx(longest)


def test_lora_writes_a_64th_of_the_cells_and_the_energy(milo: Hardware) -> None:
    """A 1024 x 1024 layer, every cell once at the same price; the worst cell is written as often in both."""

    def price(cells: int) -> float:
        counts = WriteCounts(
            cells, 8 * cells, 0, 9 * cells, cells, 0, 100e-12 * cells, 0.0, 1e-12 * cells, 10.0 * cells, 0.0
        )
        return write_costs(milo, counts).energy

    full, lora = 2 * 1024 * 1024, 2 * 8 * (1024 + 1024)
    assert full / lora == 64 and price(full) / price(lora) == pytest.approx(64)


def test_what_does_not_change_costs_nothing_and_a_rewrite_in_place_costs_its_verify_read(ideal: Hardware) -> None:
    device = ideal.device.replace(programming="write_verify")
    chip = Chip(ideal.replace(device=device))
    matrix = chip.matrix("a", torch.rand(5, 7) - 0.5)
    before = chip.ledger.rows()
    assert matrix.program().count == 0 and chip.ledger.rows() == before
    cells = np.arange(matrix.cells.conductance.size)
    again = matrix.cells.program(cells, matrix.cells.conductance.reshape(-1).copy(), 1e-12)
    assert again.pulses.sum() == 0 and (again.verify_reads == 1).all()
    assert again.set_energy.sum() == again.reset_energy.sum() == 0 < again.verify_energy.min()


def test_the_write_log_is_the_wear(milo: Hardware) -> None:
    chip = Chip(milo.replace(tile=milo.tile.replace(access="passive")))
    matrix = chip.matrix("a", torch.rand(9, 11) - 0.5)
    for step in range(3):
        matrix.master.data.add_(0.1 * torch.randn(9, 11, generator=torch.Generator().manual_seed(step)))
        matrix.program()
    assert chip.ledger.writes() == chip.writes().sum()
    assert chip.ledger.energy(None, ("half-select",)) > 0


@given(
    st.floats(0.1, 4),
    st.floats(1e-7, 1e-3),
    st.floats(0, 1e5),
    st.just(math.inf) | st.floats(0.01, 1),
    st.floats(1e-9, 1e-3),
    st.floats(1, 3),
)
def test_a_pulse_costs_more_the_longer_and_the_higher_it_is(
    volt: float, conductance: float, access: float, limit: float, width: float, factor: float
) -> None:
    once = pulse_energy(volt, conductance, access, limit, width)
    assert once > 0
    assert pulse_energy(volt, conductance, access, limit, factor * width) == pytest.approx(factor * once)
    assert pulse_energy(factor * volt, conductance, access, limit, width) >= once * (1 - 1e-12)
    assert pulse_energy(volt, factor * conductance, access, limit, width) >= once * (1 - 1e-12)


@given(
    st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=1, max_size=30),
    st.integers(0, 29),
    st.booleans(),
    st.sampled_from(["1T1R", "passive"]),
    st.sampled_from(["row_parallel", "cell_serial"]),
)
def test_one_more_pulse_costs_energy_and_no_less_time(
    milo: Hardware, pulses: list[tuple[int, int]], which: int, up: bool, access: str, order: str
) -> None:
    tile = milo.tile.replace(rows=4, columns=6, access=access)
    hardware = milo.replace(tile=tile, programming_order=order, write_circuits=LINES)
    cells, stored = list(range(0, 2 * len(pulses), 2)), np.full((2, 6, 5), 1e-4)

    def costs(extra: int) -> WriteCosts:
        more = [list(pair) for pair in pulses]
        more[which % len(pulses)][0 if up else 1] += extra
        result = programming(hardware, stored.shape, cells, [a for a, _ in more], [b for _, b in more], 1e-4)
        return write_costs(hardware, count_writes(hardware, result, stored.shape, stored))

    less, more = costs(0), costs(1)
    assert more.energy > less.energy and more.time >= less.time
    before, after = ({name: joule for name, _, joule in one.terms} for one in (less, more))
    assert all(after[name] >= before[name] * (1 - 1e-9) - 1e-22 for name in before)


@pytest.mark.parametrize(("key", "component"), [("pulse_width", "SET pulses"), ("read_time", "verify reads")])
def test_longer_pulses_and_verify_reads_cost_in_proportion(milo: Hardware, key: str, component: str) -> None:
    energies, times = [], []
    for factor in (1.0, 2.0):
        device = milo.device.replace(**{key: factor * getattr(milo.device, key)})
        chip = Chip(milo.replace(device=device))
        chip.matrix("a", torch.linspace(-1, 1, 35).reshape(5, 7))
        energies.append(chip.ledger.energy("infer", (component,)))
        times.append(chip.ledger.time())
    assert energies[1] == pytest.approx(2 * energies[0]) and times[1] > times[0]
