"""Conductances after programming: drift and relaxation laws against their published values and as statistics."""

from __future__ import annotations

import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from crossbar_sim import DeviceModel, SpecError
from crossbar_sim.counter_random import stream_key
from crossbar_sim.crossbar import Crossbar
from crossbar_sim.devices import LogRelaxation, PowerLawDrift, device_names, relaxed

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
    law = drift_of("nandakumar2019").replace(spread=None, flicker=None)
    g = np.array([x * 25e-6])
    for seconds, factor in ((HOUR, hour), (DAY, day)):
        after = relaxed(law, g, seconds, stream_key(0, "r"))
        assert after[0] / g[0] == pytest.approx(factor, abs=6e-5)


@pytest.mark.parametrize(("x", "sigma"), [(1.0, 0.0419), (0.5, 0.0658), (0.1, 0.1873)])
def test_read_noise_of_pcm_an_hour_after(x: float, sigma: float) -> None:
    law = drift_of("nandakumar2019")
    assert law.flicker_sigma(np.array([x * 25e-6]), HOUR)[0] == pytest.approx(sigma, abs=6e-5)
    sample = relaxed(law.replace(spread=None), np.full(CELLS, x * 25e-6), HOUR, stream_key(3, "r")) / 25e-6
    factor = relaxed(law.replace(spread=None, flicker=None), np.array([x * 25e-6]), HOUR, stream_key(3, "r"))[0] / 25e-6
    assert_normal(sample, factor, factor * law.flicker_sigma(np.array([x * 25e-6]), HOUR)[0])


@pytest.mark.parametrize("x", [0.05, 0.3, 0.7, 1.0])
@pytest.mark.parametrize("name", PCM)
def test_drift_exponents_have_the_published_mean_and_spread(name: str, x: float) -> None:
    law = drift_of(name).replace(flicker=None)
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
    ("name", "x", "mean", "spread", "flicker"),
    [
        ("legallo2023_1pcm", 1.0, 0.0174, 0.0104 + 0.0116 - 0.0165, 0.0088 + 0.0768 - 0.1352 + 0.0664),
        ("legallo2023_2pcm", 1.0, 0.0174, 0.0073 + 0.0093 - 0.0118, 0.0123 + 0.0211 - 0.0280 + 0.0069),
        ("legallo2023_1pcm", 0.05, -0.0387 * np.log(0.05) - 0.0182, -0.0120 * np.log(0.05) - 0.0023, 0.0271668),
        ("legallo2023_2pcm", 1e-9, 0.13, 0.04, 0.04),
    ],
)  # fmt: skip
def test_hermes_branches(name: str, x: float, mean: float, spread: float, flicker: float) -> None:
    law, state = drift_of(name), np.array([x])
    assert law.spread is not None and law.flicker is not None
    found = (law.mean(state)[0], law.spread(state)[0], law.flicker(state)[0])
    assert found == pytest.approx((mean, spread, flicker), rel=1e-5)


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


def test_a_cell_keeps_its_exponent_until_it_is_rewritten() -> None:
    device = DeviceModel.load("joshi2020").replace(programming_error=None)
    assert isinstance(device.retention, PowerLawDrift)
    device = device.replace(retention=device.retention.replace(flicker=None))
    crossbar, cells = Crossbar(device, (10, 10), stream_key(0, "keep")), np.arange(100)
    crossbar.program(cells, np.full(100, 10e-6), 0.0)

    def exponents() -> list[np.ndarray]:
        return [-np.log(crossbar.relaxed(t) / 10e-6) / np.log1p(t / 20) for t in (HOUR, DAY)]

    hour, day = exponents()
    np.testing.assert_allclose(hour, day, rtol=1e-9)
    before = crossbar.conductance.copy()
    crossbar.program(cells[:50], np.full(50, 10e-6), 0.0)
    again = exponents()[0]
    assert np.array_equal(again.reshape(-1)[50:], hour.reshape(-1)[50:])
    assert not np.isclose(again.reshape(-1)[:50], hour.reshape(-1)[:50], rtol=1e-9).any()
    assert np.array_equal(crossbar.conductance, before)  # looking ahead changes nothing


def test_flicker_is_drawn_afresh_at_another_moment() -> None:
    law = drift_of("joshi2020").replace(spread=None)
    g, key = np.full(1000, 10e-6), stream_key(0, "f")
    near, same, later = (relaxed(law, g, t, key) for t in (HOUR, HOUR, HOUR + 1))
    assert np.array_equal(near, same)
    assert abs(np.corrcoef(near, later)[0, 1]) < 0.15


def test_switched_off_or_not_written_nothing_moves() -> None:
    device = DeviceModel.load("falcone2025_0p2")
    fresh = Crossbar(device, (20,), stream_key(0, "n"))
    assert np.array_equal(fresh.relaxed(DAY), fresh.conductance)
    fixed = Crossbar(device.replace(retention=None), (20,), stream_key(0, "n"))
    fixed.program(np.arange(20), np.full(20, 40e-6), 0.0)
    assert np.array_equal(fixed.relaxed(DAY), fixed.conductance)


@given(name=st.sampled_from(PCM + CMO), seconds=st.floats(1, 3.2e8), seed=st.integers(0, 2**31))
@settings(max_examples=40, deadline=None)
def test_relaxed_conductances_are_possible_ones(name: str, seconds: float, seed: int) -> None:
    device = DeviceModel.load(name)
    crossbar = Crossbar(device, (40,), stream_key(seed, name))
    crossbar.program(np.arange(40), np.linspace(device.g_min, device.g_max, 40), 0.0)
    after = crossbar.relaxed(seconds)
    assert np.isfinite(after).all() and (after >= 0).all()
    if name in CMO:
        assert (after >= device.g_min).all() and (after <= device.g_max).all()


def test_results_do_not_depend_on_threads() -> None:
    law, g = drift_of("joshi2020"), np.linspace(1e-6, 25e-6, 500)
    outcomes = []
    for threads in (1, min(2, numba.config.NUMBA_NUM_THREADS)):
        numba.set_num_threads(threads)
        outcomes.append(relaxed(law, g, DAY, stream_key(0, "t")))
    numba.set_num_threads(1)
    assert np.array_equal(*outcomes)


def test_mistakes_are_explained() -> None:
    law = DeviceModel.load("falcone2025_2p0").retention
    with pytest.raises(ValueError, match="from 1 s after programming"):
        relaxed(law, np.ones(1), 0.5, stream_key(0, "x"))
    with pytest.raises(ValueError, match="zero or more seconds"):
        relaxed(law, np.ones(1), -1.0, stream_key(0, "x"))
    with pytest.raises(SpecError, match="law"):
        DeviceModel.load("wan2022").replace(retention={"law": "magic", "source": "x", "kind": "assumed"})


def test_only_devices_with_a_published_law_forget() -> None:
    assert {name for name in device_names() if DeviceModel.load(name).retention} == {*PCM, *CMO}
