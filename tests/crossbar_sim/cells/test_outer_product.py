"""The pulsed outer product on cells: a slow twin, bookkeeping, the statistics of trains."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import pytest

from crossbar_sim import DeviceModel, MappingError
from crossbar_sim.cells.cells import Cells
from crossbar_sim.cells.compiled.stochastic_update import LANES
from crossbar_sim.cells.outer_product import pulse_outer_product
from crossbar_sim.cells.pulse_trains import PulseTrains, draw, train_lengths
from crossbar_sim.cells.written import Written
from crossbar_sim.hardware.schemes.base import BOTH_CELLS, CELL_OF_THE_SIGN, ONE_CELL
from crossbar_sim.runtime.counter_random import normal_pair, stream_key
from tests.conftest import ASSUMED
from tests.oracles.on_threads import on_threads

KEY = stream_key(0, "test")
PLANES = {ONE_CELL: 1, BOTH_CELLS: 2, CELL_OF_THE_SIGN: 2}


def bit(word: np.uint32, slot: int) -> int:
    return int(word) >> slot & 1


def naive_cells(scheme: int, rises: bool, g: np.ndarray[Any, Any], place: tuple[int, int], device: DeviceModel) -> Any:
    """(plane, whether SET) of the cells that take a pulse which should raise or lower a weight."""
    if scheme == ONE_CELL:
        return [(0, rises)]
    if scheme == BOTH_CELLS:
        return [(0, rises), (1, not rises)]
    plus, minus = g[0][place], g[1][place]
    least = device.g_min + 0.5 * device.pulse_step
    if plus > least and plus >= minus:
        return [(0, rises)]
    if minus > least and minus > plus:
        return [(1, not rises)]
    return [(0, True)] if rises else [(1, True)]


def twin(
    crossbar: Cells, trains: PulseTrains, scheme: int, row_of: Any, column_of: Any, tile_rows: int
) -> tuple[np.ndarray[Any, Any], ...]:
    """Conductances, SET and RESET pulses and joule of every cell: sample by sample, slot by slot, cell by cell."""
    device, g = crossbar.device, crossbar.present.copy()
    pulses, energy = np.zeros((2, *g.shape), np.int64), np.zeros((2, *g.shape))
    key = stream_key(int(KEY[0]), str(int(KEY[1])), "coincidences")
    segments = -(-g.shape[2] // LANES)
    for s, slots in enumerate(trains.slots):
        for slot in range(slots):
            for k in np.flatnonzero([bit(word, slot) for word in trains.rows[s]]):
                words = trains.columns[k // tile_rows, s]
                hit = np.flatnonzero([bit(word, slot) for word in words])
                for segment in range(segments):
                    part = hit[segment * LANES : (segment + 1) * LANES]
                    lanes = []
                    for j in part:
                        place = (row_of[k], column_of[j])
                        rises = bit(words[j], 31) != bit(trains.rows[s, k], 31)
                        lanes += [(place, *cell) for cell in naive_cells(scheme, rises, g, place, device)]
                    if scheme == BOTH_CELLS:
                        lanes = lanes[::2] + lanes[1::2]
                    half = -(-len(lanes) // 32) * 16
                    for n, (place, plane, rising) in enumerate(lanes):
                        pair = ((k * segments) + segment) * LANES + n % half
                        counter = np.uint32((crossbar.samples + s) * 32 + slot)
                        z = float(normal_pair(np.uint32(pair), counter, *key)[n // half])
                        cell = (plane, *place)
                        energy[(int(not rising), *cell)] += naive_pulse(crossbar, g, cell, rising, z)
                        pulses[(int(not rising), *cell)] += 1
    return g, pulses, energy


def naive_pulse(crossbar: Cells, g: np.ndarray[Any, Any], cell: tuple[int, ...], rising: bool, z: float) -> float:
    """Move one cell by one pulse; joule."""
    device, now = crossbar.device, g[cell]
    factor_of_cell = 1.0 if crossbar.device_to_device is None else crossbar.device_to_device[cell]
    distance = now - device.g_min if rising else device.g_max - now
    factor = 1 + device.cycle_to_cycle * z
    step = (
        factor_of_cell
        * float(device.steps(not rising)(np.array(distance)))
        * (factor if device.pulses_may_reverse else max(factor, 0.0))
    )
    step += (device.cycle_to_cycle_window or 0.0) * device.window * z
    after = min(max(now + step if rising else now - step, min(now, device.g_min)), max(now, device.g_max))
    if crossbar.stuck is not None and crossbar.stuck[cell]:
        after = now
    g[cell] = after
    mean = (now + after) / 2
    voltage, width = (device.set_voltage, device.pulse_width) if rising else (device.reset_voltage, device.reset_width)
    current = voltage * mean / (1 + mean * device.access_resistance)
    if rising and device.set_compliance_voltage is not None:
        current = min(current, device.set_compliance_voltage * mean)
    return float(voltage * current * width)


def signals(samples: int, inputs: int, outputs: int, tiles: int = 1) -> tuple[Any, Any]:
    generator = np.random.default_rng(samples)
    return generator.standard_normal((samples, inputs)), generator.standard_normal((tiles, samples, outputs))


def ready(device: DeviceModel, shape: tuple[int, int, int]) -> Cells:
    """Cells all over the window, some of them at its lower end."""
    crossbar = Cells(device, shape, KEY)
    share = np.random.default_rng(1).uniform(-0.3, 1, shape)
    crossbar.conductance[:] = device.g_min + device.window * np.maximum(share, 0)
    return crossbar


DEVICES = {
    "milo2021": {},
    "gong2018_es": {},
    "gong2018_sb": {"stuck_at_lrs": 0.1, "stuck_at_hrs": 0.1},
    "wu2018": {},
    "woo2016": {"access_resistance": 2e3, "cycle_to_cycle": 0.2, "device_to_device": 0.3},
}


@pytest.mark.parametrize("scheme", [ONE_CELL, BOTH_CELLS, CELL_OF_THE_SIGN])
@pytest.mark.parametrize("name", DEVICES)
def test_kernel_equals_the_slow_twin(name: str, scheme: int) -> None:
    device = DeviceModel.load(name).replace(**DEVICES[name])
    inputs = 7
    outputs = 9
    tile_rows = 4
    x, error = signals(6, inputs, outputs, tiles=2)
    trains = draw(x, error, 0.5, 5, KEY, 0)
    crossbar = ready(device, (PLANES[scheme], inputs, outputs + 2))
    row_of, column_of = np.random.default_rng(2).permutation(inputs), np.arange(outputs) + (np.arange(outputs) > 4)
    before = crossbar.present.copy()
    expected, pulses, energy = twin(crossbar, trains, scheme, row_of, column_of, tile_rows)
    result = pulse_outer_product(crossbar, trains, scheme, row_of, column_of, tile_rows)
    np.testing.assert_allclose(crossbar.conductance, expected, rtol=0, atol=1e-4 * device.pulse_step)
    touched = np.flatnonzero(pulses.sum(axis=0))
    assert (result.cells == touched).all() and 20 < touched.size < before.size
    untouched = pulses.sum(axis=0) == 0
    assert (crossbar.conductance[untouched] == before[untouched]).all()
    assert (result.set_pulses == pulses[0].reshape(-1)[touched]).all()
    assert (result.reset_pulses == pulses[1].reshape(-1)[touched]).all()
    np.testing.assert_allclose(result.set_energy, energy[0].reshape(-1)[touched], rtol=1e-5)
    np.testing.assert_allclose(result.reset_energy, energy[1].reshape(-1)[touched], rtol=1e-5)


def test_wide_rows_and_long_trains_equal_the_slow_twin() -> None:
    """More listed columns than lanes."""
    device = DeviceModel.load("milo2021")
    x, error = np.ones((1, 2)), np.ones((1, 1, 2 * LANES + 9))
    trains = draw(x, error, 3.0, 31, KEY, 0)
    assert trains.slots.tolist() == [3] and (trains.rows & 7 == 7).all()
    for scheme, planes in PLANES.items():
        crossbar = ready(device, (planes, 2, error.shape[2]))
        lines = np.arange(2), np.arange(error.shape[2])
        expected = twin(crossbar, trains, scheme, *lines, 2)[0]
        pulse_outer_product(crossbar, trains, scheme, *lines, 2)
        np.testing.assert_allclose(crossbar.conductance, expected, rtol=0, atol=1e-4 * device.pulse_step)


def run(batches: list[slice], threads: int = 1) -> tuple[Cells, list[Written]]:
    x, error = signals(20, 40, 30)
    crossbar = ready(DeviceModel.load("gong2018_es"), (2, 40, 30))
    with on_threads(threads):
        results = [
            pulse_outer_product(
                crossbar,
                draw(x[some], error[:, some], 2.0, 31, KEY, crossbar.samples),
                CELL_OF_THE_SIGN,
                np.arange(40),
                np.arange(30),
                40,
            )
            for some in batches
        ]
    return crossbar, results


@pytest.mark.skipif(numba.config.NUMBA_NUM_THREADS < 2, reason="one thread only")
def test_the_result_does_not_depend_on_threads() -> None:
    (one, (first,)), (two, (second,)) = run([slice(20)]), run([slice(20)], threads=2)
    assert (one.conductance == two.conductance).all()
    assert all(
        np.array_equal(getattr(first, part), getattr(second, part))
        for part in ("cells", "energy", "conductance_travel")
    )


def test_the_result_does_not_depend_on_how_samples_are_cut_into_batches() -> None:
    whole, (together,) = run([slice(20)])
    halves, apart = run([slice(8), slice(8, 20)])
    assert (whole.conductance == halves.conductance).all() and (whole.pulses == halves.pulses).all()
    assert together.pulses.sum() == sum(result.pulses.sum() for result in apart)


def test_one_write_per_touched_cell_and_its_wear() -> None:
    crossbar, (result,) = run([slice(20)])
    writes, touched = crossbar.writes.reshape(-1), np.zeros(crossbar.writes.size, bool)
    touched[result.cells] = True
    assert (writes == touched).all()
    assert (crossbar.pulses.reshape(-1)[result.cells] == result.pulses).all() and result.pulses.min() >= 1
    assert (crossbar.conductance_travel.reshape(-1)[result.cells] == result.conductance_travel).all()
    assert (result.conductance_travel >= np.abs(result.achieved - result.before) * (1 - 1e-12)).all()
    assert (crossbar.conductance.reshape(-1)[result.cells] == result.achieved).all() and crossbar.samples == 20


def test_worn_cells_stay_where_they_are() -> None:
    device = DeviceModel.load("milo2021").replace(
        endurance=0.9, lifetime={"distribution": "log_normal", "shape": 1e-6, "stuck_at": "hrs", **ASSUMED}
    )
    crossbar = ready(device, (1, 4, 4))
    x, error = np.ones((1, 4)), np.ones((1, 1, 4))
    for _ in range(2):
        trains = draw(x, error, 2.0, 31, KEY, crossbar.samples)
        result = pulse_outer_product(crossbar, trains, ONE_CELL, np.arange(4), np.arange(4), 4)
        assert (result.achieved == device.g_min).all() and (crossbar.present == device.g_min).all()
    assert crossbar.stuck is not None and crossbar.stuck.all() and (crossbar.pulses == 4).all()


def test_trains_have_the_stated_probabilities() -> None:
    """Every bit of a train has its probability, rows and columns are independent: within 4.5 standard errors."""
    samples = 4000
    x, error = np.tile([0.2, -0.5, 1.0, 0.0], (samples, 1)), np.tile([[-0.1, 0.3]], (1, samples, 1))
    slots, c_x, c_d = train_lengths(x, error, 18.0, 31)
    assert (slots == 6).all() and np.allclose(slots * c_x * c_d, 18.0) and np.allclose(c_x * 1.0, c_d * 0.3)
    trains = draw(x, error, 18.0, 31, KEY, 0)
    bits = np.stack([(trains.rows >> slot) & 1 for slot in range(6)], axis=-1).astype(float)
    column_bits = np.stack([(trains.columns[0] >> slot) & 1 for slot in range(6)], axis=-1).astype(float)
    for k in range(4):
        p = np.abs(x[0, k]) * c_x[0]
        assert np.abs(bits[:, k].mean(axis=0) - p).max() <= 4.5 * np.sqrt(p * (1 - p) / samples)
    both = (bits[:, 2] * column_bits[:, 1]).mean(axis=0)
    p = c_x[0] * 0.3 * c_d[0]
    assert np.abs(both - p).max() < 4.5 * np.sqrt(p * (1 - p) / samples)
    signs = trains.rows >> 31
    assert (signs[:, [0, 2, 3]] == 0).all() and (signs[:, 1] == (trains.rows[:, 1] != 0)).all()
    assert (trains.rows & ~np.uint32(1 << 31) < 2**6).all() and (trains.rows[:, 3] == 0).all()


def test_trains_are_as_short_as_they_can_be_and_never_longer_than_allowed() -> None:
    x, error = np.array([[1.0], [2.0], [0.0], [100.0]]), np.full((1, 4, 1), 0.7)
    slots, c_x, c_d = train_lengths(x, error, 1.0, 10)
    assert slots.tolist() == [1, 2, 0, 10]
    assert np.allclose((c_x * np.abs(x[:, 0]))[:2], np.sqrt([0.7, 0.7])) and (c_x[2], c_d[2]) == (0, 0)
    assert (draw(x, error, 1.0, 10, KEY, 0).rows[3] == 2**10 - 1).all()  # clipped: a pulse in every slot
    with pytest.raises(MappingError, match="1 to 31 bits, got 32"):
        draw(x, error, 1.0, 32, KEY, 0)
