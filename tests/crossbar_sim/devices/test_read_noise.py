"""Read noise: 1/f laws against their published values, telegraph noise, and both as statistics of analog reads."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats

from crossbar_sim import Chip, DeviceModel, Hardware, SpecError
from crossbar_sim.cells.cells import Cells
from crossbar_sim.devices import ConductancePolynomial, FlickerNoise, device_names
from crossbar_sim.runtime.counter_random import stream_key

CONFIDENCE = 0.999_99
HOUR = 3600.0
TELEGRAPH = {"amplitude": 0.1, "high": 0.3, "cells": 0.4, "source": "assumption", "kind": "assumed"}


def flicker_of(name: str) -> FlickerNoise:
    law = DeviceModel.load(name).read_noise
    assert isinstance(law, FlickerNoise)
    return law


@pytest.mark.parametrize(("x", "sigma"), [(1.0, 0.0419), (0.5, 0.0658), (0.1, 0.1873)])
def test_read_noise_of_pcm_an_hour_after(x: float, sigma: float) -> None:
    assert flicker_of("nandakumar2019")(np.array([x * 25e-6]), HOUR)[0] == pytest.approx(sigma * x * 25e-6, rel=2e-3)


@pytest.mark.parametrize(
    ("name", "x", "amplitude"),
    [  # the published branches of the HERMES fit, written out
        ("legallo2023_1pcm", 1.0, 0.0088 + 0.0768 - 0.1352 + 0.0664),
        ("legallo2023_2pcm", 1.0, 0.0123 + 0.0211 - 0.0280 + 0.0069),
        ("legallo2023_1pcm", 0.05, -0.0078 * np.log(0.05) + 0.0038),
    ],
)
def test_read_noise_of_hermes(name: str, x: float, amplitude: float) -> None:
    law = flicker_of(name)
    growth = np.sqrt(np.log((HOUR + law.reference_time + 512e-9) / 1024e-9))
    sigma = law(np.array([x * law.conductance_scale]), HOUR)[0] / (x * law.conductance_scale)
    assert sigma == pytest.approx(amplitude * growth, rel=1e-5)


@pytest.mark.parametrize("microsiemens", [9.0, 30.0, 88.19])
@pytest.mark.parametrize("seconds", [1.0, HOUR, 3.2e8])
def test_read_noise_of_cmo(microsiemens: float, seconds: float) -> None:
    """0.02773 log10(G) sqrt(ln((t + 1 us) / 2 us)) uS; at 1 s and later."""
    expected = 0.02773 * np.log10(microsiemens) * np.sqrt(np.log((seconds + 1e-6) / 2e-6))
    sigma = flicker_of("falcone2025_2p0")(np.array([microsiemens * 1e-6]), seconds - 1)[0]
    assert sigma * 1e6 == pytest.approx(expected, rel=1e-6)


def test_noise_grows_with_time_and_never_falls_below_zero() -> None:
    for name in device_names():
        law = DeviceModel.load(name).read_noise
        if isinstance(law, FlickerNoise):
            device = DeviceModel.load(name)
            g = np.linspace(device.g_min, device.g_max, 20)
            by_time = np.array([law(g, t) for t in (0, 1, HOUR, 3.2e8)])
            assert (by_time >= 0).all() and (np.diff(by_time, axis=0) >= 0).all() and np.isfinite(by_time).all()
            early = law.replace(reference_time=0.0)
            assert (early(g, 0.0) == 0).all()  # the law starts at one integration time


def test_which_cells_toggle_belongs_to_the_write() -> None:
    device, cells = DeviceModel.load("wan2022").replace(telegraph_noise=TELEGRAPH, read_noise=None), 20_000
    crossbar = Cells(device, (cells,), stream_key(0, "t"))
    crossbar.program(np.arange(cells), np.full(cells, 20e-6), 0.0)
    first = crossbar.read_sigma() > 0
    assert stats.binomtest(int(first.sum()), cells, 0.4).pvalue > 1e-5
    crossbar.wait(HOUR)
    assert np.array_equal(crossbar.read_sigma() > 0, first)
    crossbar.program(np.arange(1000), np.full(1000, 20e-6), 0.0)
    second = crossbar.read_sigma() > 0
    assert np.array_equal(second[1000:], first[1000:]) and not np.array_equal(second[:1000], first[:1000])


def test_telegraph_variance_is_that_of_two_states() -> None:
    """(amplitude G)^2 high (1 - high), against a drawn two-state process around the same mean."""
    device = DeviceModel.load("wan2022").replace(
        telegraph_noise={**TELEGRAPH, "cells": 1.0}, read_noise=None, programming_error=None
    )
    crossbar = Cells(device, (1,), stream_key(0, "v"))
    crossbar.program(np.arange(1), np.full(1, 20e-6), 0.0)
    up = np.random.default_rng(0).random(200_000) < 0.3
    process = 20e-6 * (1 + 0.1 * (up - 0.3))
    assert process.mean() == pytest.approx(20e-6, rel=1e-3)
    assert crossbar.read_sigma()[0] == pytest.approx(process.std(), rel=5e-3)


@pytest.mark.parametrize("name", ["legallo2023_1pcm", "falcone2025_0p2", "telegraph", "both"])
@pytest.mark.parametrize("seconds", [0.0, 30 * 86400.0])
def test_reads_have_the_variance_of_their_cells(ideal: Hardware, name: str, seconds: float) -> None:
    """Many reads of one matrix: mean and variance of every output, 99.999 % each."""
    device = DeviceModel.load({"telegraph": "wan2022", "both": "wan2022"}.get(name, name))
    if name in ("telegraph", "both"):
        device = device.replace(telegraph_noise=TELEGRAPH)
    hardware = ideal.replace(device=device.replace(read_noise=None) if name == "telegraph" else device)
    chip = Chip(hardware)
    matrix = chip.matrix("m", torch.rand(3, 40, generator=torch.Generator().manual_seed(1)) - 0.5)
    chip.wait(seconds)
    x = torch.rand(40, generator=torch.Generator().manual_seed(2)) + 0.1
    reads = 20_000
    y = matrix(x.expand(reads, -1)).double().numpy()
    per_siemens = x[:, None].double().numpy() * matrix.targets.scale / hardware.device.window
    sigma = np.sqrt((per_siemens**2 * (matrix.cells.read_sigma() ** 2).sum(axis=0)).sum(axis=0))
    mean = (matrix.weight().double() @ x.double()).numpy()
    low, high = stats.chi2.interval(CONFIDENCE, reads - 1) / np.float64(reads - 1)
    assert ((y.var(axis=0, ddof=1) / sigma**2 > low) & (y.var(axis=0, ddof=1) / sigma**2 < high)).all()
    assert (np.abs(y.mean(axis=0) - mean) < stats.norm.isf((1 - CONFIDENCE) / 2) * sigma / np.sqrt(reads) + 1e-5).all()


NOISY = [name for name in device_names() if DeviceModel.load(name).read_noise is not None]


@pytest.mark.parametrize("name", NOISY)
def test_reads_of_every_device_spread_by_state(ideal: Hardware, name: str) -> None:
    """One cell pair per output, from one end of the window to the other, an hour after programming: mean and spread."""
    chip = Chip(ideal.replace(device=DeviceModel.load(name).replace(programming_error=None, levels=None)))
    matrix, reads = chip.matrix("m", torch.linspace(-1, 1, 8)[:, None], scale=np.ones(8)), 20_000
    chip.wait(HOUR)
    y = matrix(torch.ones(reads, 1)).double().numpy()
    device, law = matrix.hardware.device, matrix.hardware.device.read_noise
    assert law is not None
    pair = matrix.cells.present[:, 0]
    age = (HOUR,) if isinstance(law, FlickerNoise) else ()
    sigma = np.hypot(*(law(side, *age) for side in pair)) / device.window
    if not age:
        np.testing.assert_allclose(sigma * device.window, 0.01 * np.hypot(*pair))  # 1 % of each conductance
    low, high = stats.chi2.interval(CONFIDENCE, reads - 1) / np.float64(reads - 1)
    ratio = y.var(axis=0, ddof=1) / sigma**2
    assert ((low < ratio) & (ratio < high)).all()
    mean = (pair[0] - pair[1]) / device.window
    assert (np.abs(y.mean(axis=0) - mean) < stats.norm.isf((1 - CONFIDENCE) / 2) * sigma / np.sqrt(reads) + 1e-6).all()


def test_files_and_mistakes() -> None:
    device = DeviceModel.load("falcone2025_0p2").replace(telegraph_noise=TELEGRAPH)
    assert isinstance(DeviceModel.load("wan2022").read_noise, ConductancePolynomial)
    assert {"read_noise", "telegraph_noise", "retention"} <= set(device.laws())
    with pytest.raises(SpecError, match="read_noise"):
        DeviceModel.load("wan2022").replace(read_noise={"law": "white", "source": "x", "kind": "assumed"})
    with pytest.raises(SpecError, match="amplitude"):
        DeviceModel.load("wan2022").replace(telegraph_noise={**TELEGRAPH, "amplitude": 2.0})
