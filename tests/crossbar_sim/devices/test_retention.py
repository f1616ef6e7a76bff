"""Conductances after programming: drift and relaxation laws against their published values and as statistics."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from crossbar_sim import Chip, DeviceModel, Hardware, SpecError
from crossbar_sim.cells.cells import Cells
from crossbar_sim.devices import LogRelaxation, PowerLawDrift, device_names, relaxed
from crossbar_sim.runtime.counter_random import stream_key
from tests.oracles.on_threads import on_threads

CONFIDENCE = 0.999_99
HOUR, DAY = 3600.0, 86400.0
CELLS = 20_000
PCM = ["joshi2020", "nandakumar2019", "legallo2023_1pcm", "legallo2023_2pcm"]
CMO = ["falcone2025_0p2", "falcone2025_2p0"]


def drift_of(name: str) -> PowerLawDrift:
    law = DeviceModel.load(name).retention
    assert isinstance(law, PowerLawDrift)
    return law


def assert_normal(sample: np.ndarray, mean: float, sigma: float) -> None:
    """Mean and variance within a 99.999 % interval each."""
    low, high = stats.chi2.interval(CONFIDENCE, sample.size - 1) / np.float64(sample.size - 1)
    assert low < sample.var(ddof=1) / sigma**2 < high
    assert abs(sample.mean() - mean) < stats.norm.isf((1 - CONFIDENCE) / 2) * sigma / np.sqrt(sample.size)


@pytest.mark.parametrize(  # published fit: G / g_max, factor after an hour and after a day, mean exponent only
    ("x", "hour", "day"), [(1.0, 0.77513, 0.66352), (0.5, 0.77513, 0.66352), (0.1, 0.7317, 0.6047)]
)
def test_mean_drift_of_pcm(x: float, hour: float, day: float) -> None:
    law = drift_of("nandakumar2019").replace(spread=None)
    g = np.array([x * 25e-6])
    for seconds, factor in ((HOUR, hour), (DAY, day)):
        after = relaxed(law, g, seconds, stream_key(0, "r"))
        assert after[0] / g[0] == pytest.approx(factor, abs=6e-5)


@pytest.mark.parametrize("x", [0.05, 0.3, 0.7, 1.0])
@pytest.mark.parametrize("name", PCM)
def test_drift_exponents_have_the_published_mean_and_spread(name: str, x: float) -> None:
    law = drift_of(name)
    g = np.full(CELLS, x * law.conductance_scale)
    after = relaxed(law, g, DAY, stream_key(7, name))
    exponent = -np.log(after / g) / np.log1p(DAY / law.reference_time)
    state = np.array([x])
    assert law.spread is not None
    mean, spread = law.mean(state)[0], law.spread(state)[0]
    if mean > 4.5 * spread:
        assert_normal(exponent, mean, spread)
    else:  # |nu|: folded at zero
        folded = stats.foldnorm(mean / spread, scale=spread)
        assert abs(exponent.mean() - folded.mean()) < 4 * folded.std() / np.sqrt(CELLS)
        assert exponent.std() == pytest.approx(folded.std(), rel=0.03)


@pytest.mark.parametrize(  # the published branches of the HERMES fit, written out
    ("name", "x", "mean", "spread"),
    [
        ("legallo2023_1pcm", 1.0, 0.0174, 0.0104 + 0.0116 - 0.0165),
        ("legallo2023_2pcm", 1.0, 0.0174, 0.0073 + 0.0093 - 0.0118),
        ("legallo2023_1pcm", 0.05, -0.0387 * np.log(0.05) - 0.0182, -0.0120 * np.log(0.05) - 0.0023),
        ("legallo2023_2pcm", 1e-9, 0.13, 0.04),
    ],
)
def test_hermes_branches(name: str, x: float, mean: float, spread: float) -> None:
    law, state = drift_of(name), np.array([x])
    assert law.spread is not None
    assert (law.mean(state)[0], law.spread(state)[0]) == pytest.approx((mean, spread), rel=1e-5)


@pytest.mark.parametrize("name", CMO)
@pytest.mark.parametrize(
    ("seconds", "mean", "spread"), [(1.0, 0.0, 0.412), (HOUR, -0.729, 0.756), (DAY, -1.012, 0.889)]
)
def test_relaxation_of_cmo(name: str, seconds: float, mean: float, spread: float) -> None:
    """Mean -0.0890 ln t and standard deviation 0.0420 ln t + 0.4118 uS, whatever the state."""
    law = DeviceModel.load(name).retention
    assert isinstance(law, LogRelaxation)
    for microsiemens in (20.0, 60.0):
        change = relaxed(law, np.full(CELLS, microsiemens * 1e-6), seconds, stream_key(2, name)) * 1e6 - microsiemens
        log_time = np.log(seconds)
        exact = (-0.08900206 * log_time, 0.04201137 * log_time + 0.41183342)
        assert exact == pytest.approx((mean, spread), abs=6e-4)
        assert_normal(change, *exact)


def later(crossbar: Cells, seconds: float) -> np.ndarray:
    """The present conductances `seconds` from now, without letting the time pass."""
    ahead = copy.deepcopy(crossbar)
    ahead.wait(seconds)
    return ahead.present


def test_a_cell_keeps_its_exponent_until_it_is_rewritten() -> None:
    device = DeviceModel.load("joshi2020").replace(programming_error=None)
    crossbar, cells = Cells(device, (10, 10), stream_key(0, "keep")), np.arange(100)
    crossbar.program(cells, np.full(100, 10e-6), 0.0)

    def exponents() -> list[np.ndarray]:
        return [-np.log(later(crossbar, t) / 10e-6) / np.log1p(t / 20) for t in (HOUR, DAY)]

    hour, day = exponents()
    np.testing.assert_allclose(hour, day, rtol=1e-9)
    crossbar.program(cells[:50], np.full(50, 10e-6), 0.0)
    again = exponents()[0]
    assert np.array_equal(again.reshape(-1)[50:], hour.reshape(-1)[50:])
    assert not np.isclose(again.reshape(-1)[:50], hour.reshape(-1)[:50], rtol=1e-9).any()


def test_switched_off_or_not_written_or_stuck_nothing_moves() -> None:
    device = DeviceModel.load("falcone2025_0p2")
    fresh = Cells(device, (20,), stream_key(0, "n"))
    assert np.array_equal(later(fresh, DAY), fresh.conductance)
    fixed = Cells(device.replace(retention=None), (20,), stream_key(0, "n"))
    fixed.program(np.arange(20), np.full(20, 40e-6), 0.0)
    assert np.array_equal(later(fixed, DAY), fixed.conductance)
    stuck = Cells(device.replace(stuck_at_lrs=1.0), (20,), stream_key(0, "n"))
    stuck.program(np.arange(20), np.full(20, 40e-6), 0.0)
    assert (later(stuck, DAY) == device.g_max).all()


@given(
    name=st.sampled_from(PCM + CMO),
    seed=st.integers(0, 2**31),
    waits=st.lists(st.floats(0, 1e8), min_size=1, max_size=4),
    again=st.sets(st.integers(0, 39)),
)
@settings(max_examples=40, deadline=None)
def test_the_present_depends_on_each_cells_age_alone(name: str, seed: int, waits: list[float], again: set[int]) -> None:
    """However a time is cut into waits, and whatever happens to other cells, a cell stands where its age puts it."""
    device = DeviceModel.load(name)
    cut, whole = (Cells(device, (40,), stream_key(seed, name)) for _ in range(2))
    cells, goal = np.arange(40), np.linspace(device.g_min, device.g_max, 40)
    for crossbar in (cut, whole):
        crossbar.program(cells, goal, 0.0)
        assert np.array_equal(crossbar.present, crossbar.conductance)  # no time has passed
    whole.wait(sum(waits))
    rewritten = np.array(sorted(again), np.int64)
    kept = np.setdiff1d(cells, rewritten)
    for wait in waits:
        cut.wait(wait)
        before = cut.present.copy()
        cut.program(rewritten, goal[rewritten], 0.0)
        assert np.array_equal(cut.present[kept], before[kept])
        assert np.array_equal(cut.present[rewritten], cut.conductance[rewritten])
    np.testing.assert_allclose(cut.present[kept], whole.present[kept], rtol=1e-9)
    np.testing.assert_allclose(cut.age[kept], sum(waits), rtol=1e-12)
    assert (cut.age[rewritten] == 0).all()
    assert np.array_equal(cut.conductance[kept], whole.conductance[kept])  # as programmed
    assert np.isfinite(cut.present).all() and (cut.present >= 0).all()


def test_a_write_starts_from_the_drifted_conductance() -> None:
    """A cell that has drifted away takes pulses to come back, one that has not takes none."""
    device = DeviceModel.load("nandakumar2019").replace(programming_error=None)
    crossbar, goal = Cells(device, (50,), stream_key(0, "back")), np.full(50, 20e-6)
    crossbar.program(np.arange(50), goal, 0.0)
    assert crossbar.program(np.arange(50), goal, 0.0).pulses.sum() == 0
    crossbar.wait(DAY)
    assert (crossbar.present < 0.8 * goal).all()
    back = crossbar.program(np.arange(50), goal, 0.0)
    assert (back.set_pulses > 0).all() and np.array_equal(crossbar.present, goal)


def test_cells_younger_than_a_second_stay_as_programmed() -> None:
    device = DeviceModel.load("falcone2025_0p2").replace(programming_error=None)
    crossbar = Cells(device, (30,), stream_key(0, "young"))
    crossbar.program(np.arange(30), np.full(30, 40e-6), 0.0)
    crossbar.wait(0.5)
    assert np.array_equal(crossbar.present, crossbar.conductance)
    crossbar.wait(0.5)
    assert (crossbar.present != crossbar.conductance).all()


@pytest.mark.parametrize("kelvin", [300.0, 358.0])
def test_heat_makes_time_run_faster(kelvin: float) -> None:
    """1 eV: an hour at 85 C is exp(1 eV / k (1/300 K - 1/358 K)) hours at 300 K."""
    heat = {
        "activation_energy": 1.602176634e-19,
        "reference_temperature": 300.0,
        "temperature": kelvin,
        "source": "assumption",
        "kind": "assumed",
    }
    device = DeviceModel.load("nandakumar2019")
    factor = np.exp(11604.518 * (1 / 300 - 1 / kelvin))
    hot, cold = (Cells(kind, (20,), stream_key(0, "h")) for kind in (device.replace(heat=heat), device))
    for crossbar, seconds in ((hot, HOUR), (cold, HOUR * factor)):
        crossbar.program(np.arange(20), np.full(20, 10e-6), 0.0)
        crossbar.wait(seconds)
    np.testing.assert_allclose(hot.present, cold.present, rtol=1e-5)


def test_results_do_not_depend_on_threads() -> None:
    law, g = drift_of("joshi2020"), np.linspace(1e-6, 25e-6, 500)
    outcomes = []
    for threads in (1, 2):
        with on_threads(threads):
            outcomes.append(relaxed(law, g, DAY, stream_key(0, "t")))
    assert np.array_equal(*outcomes)


def test_mistakes_are_explained() -> None:
    law = DeviceModel.load("falcone2025_2p0").retention
    with pytest.raises(SpecError, match="from 1 s after programming"):
        relaxed(law, np.ones(1), 0.5, stream_key(0, "x"))
    with pytest.raises(SpecError, match="zero or more seconds"):
        relaxed(law, np.ones(1), -1.0, stream_key(0, "x"))
    with pytest.raises(SpecError, match="law"):
        DeviceModel.load("wan2022").replace(retention={"law": "magic", "source": "x", "kind": "assumed"})
    with pytest.raises(SpecError, match="time only goes forward"):
        Cells(DeviceModel.load("wan2022"), (2,), stream_key(0, "x")).wait(-1.0)


def test_models_on_tiles_age(milo: Hardware) -> None:
    """Chip.wait changes what reads see, forward, backward, through wires and in weight(); waiting 0 s does not."""
    device = milo.device.replace(retention=DeviceModel.load("falcone2025_0p2").retention)
    quiet = milo.replace(device=device).without("read_noise", "dac", "adc")
    wired = quiet.replace(tile=quiet.tile.replace(word_line_resistance=1.0, bit_line_resistance=1.0))
    x = torch.randn(4, 6, generator=torch.Generator().manual_seed(0))
    for hardware in (quiet, wired, quiet.without("retention")):
        chip = Chip(hardware)
        matrix = chip.matrix("m", torch.linspace(-1, 1, 30).reshape(5, 6))
        released = chip.matrix("r", torch.ones(2, 2)).cells
        chip.release("r")
        before, energy = matrix(x), chip.ledger.energy()
        chip.wait(0.0)
        assert torch.equal(matrix(x), before)
        chip.wait(DAY)
        assert chip.ledger.energy() > energy and released.clock == DAY  # reads are billed, time is not
        after = matrix(x)
        if hardware.device.retention is None:
            assert torch.equal(after, before)
            continue
        assert not torch.allclose(after, before, rtol=1e-3)
        if hardware is quiet:
            torch.testing.assert_close(after, x @ matrix.weight().T, rtol=1e-4, atol=1e-5)
            back = matrix.read(torch.eye(5), transposed=True)
            torch.testing.assert_close(back, matrix.weight(), rtol=1e-4, atol=1e-5)
        matrix.master.mul_(0.5)
        matrix.program()
        assert np.array_equal(matrix.cells.age == 0, matrix.cells.writes == 2)


def test_only_devices_with_a_published_law_forget() -> None:
    assert {name for name in device_names() if DeviceModel.load(name).retention} == {*PCM, *CMO}
