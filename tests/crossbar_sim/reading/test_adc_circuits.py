"""ADC circuits: SAR and ramp against their own step-by-step search, published conventions, static errors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from crossbar_sim import Chip, Hardware, SpecError
from crossbar_sim.hardware.converters import ADC
from crossbar_sim.reading.adc_bank import ADCBank
from crossbar_sim.runtime.counter_random import stream_key

KEY = stream_key(0, "adc")


def converter(**settings: Any) -> ADC:
    return ADC(**{"bits": 6, "sample_rate": 1e9, "technology": 32e-9, "columns_per_adc": 8, **settings})


def bank(adc: ADC, columns: int = 16) -> ADCBank:
    return ADCBank(adc, tile_columns=columns, columns=columns, row_tiles=1, key=KEY)


def convert(adc_bank: ADCBank, sums: torch.Tensor, full: float = 1.0) -> torch.Tensor:
    return adc_bank(sums, torch.full(sums.shape[1:], full), 0)[0]


def search(value: float, capacitors: np.ndarray) -> int:
    """Successive approximation, comparison by comparison."""
    code = 0
    for bit in reversed(range(len(capacitors))):
        trial = code | 1 << bit
        if value + 0.5 >= sum(c for i, c in enumerate(capacitors) if trial >> i & 1):
            code = trial
    return code


@given(bits=st.integers(2, 7), mismatch=st.sampled_from([0.0, 0.05, 0.2]), seed=st.integers(0, 50))
def test_sar_equals_its_search(bits: int, mismatch: float, seed: int) -> None:
    """Also where a mismatched major transition makes codes disappear."""
    adc = converter(bits=bits, circuit="sar", codes="mid_rise", mismatch=mismatch)
    bench = ADCBank(adc, 4, 4, 1, stream_key(seed, "sar"))
    assert bench.thresholds is not None
    single = bench.thresholds[0, 0]
    generator = np.random.default_rng(seed)
    units = 2.0 ** np.arange(bits)
    capacitors = units + mismatch * np.sqrt(units) * bench._normal(2, (1, 1, bits))[0, 0]
    for value in generator.uniform(-1, 2**bits, 40):
        assert np.searchsorted(single, value + 0.5, side="right") == search(value, capacitors)


@pytest.mark.parametrize("codes", ["mid_tread", "mid_rise"])
@pytest.mark.parametrize("circuit", ["sar", "ramp"])
def test_without_mismatch_every_circuit_rounds(circuit: str, codes: str) -> None:
    sums = torch.rand(200, 16, generator=torch.Generator().manual_seed(0)) * 2.4 - 1.2
    ideal = convert(bank(converter(codes=codes)), sums)
    torch.testing.assert_close(convert(bank(converter(codes=codes, circuit=circuit)), sums), ideal)


def test_ramp_counts_its_steps() -> None:
    adc = converter(circuit="ramp", mismatch=0.1)
    bench, top = bank(adc), adc.code_count - 1
    steps = 1 + 0.1 * bench._normal(2, (1, 2, top))[0, 0]
    sums = torch.linspace(-1.1, 1.1, 300)[:, None].expand(-1, 16).contiguous()
    for current, read in zip(sums[:, 0].tolist(), convert(bench, sums)[:, 0].tolist(), strict=True):
        value, passed, stair = (current + 1) / 2 * top + 0.5, 0, 0.0
        for step in steps:
            stair += step
            passed += value >= stair
        assert read == pytest.approx(passed / top * 2 - 1, abs=2.1 / top if abs(value % 1) < 1e-3 else 1e-6)


def test_crosssim_and_aihwkit_conventions() -> None:
    """4 bits over [-1, 1]: CrossSim has 16 levels -1 + 2k/15 and no zero, aihwkit 15 levels k/7 with one."""
    rise = convert(bank(converter(bits=4, codes="mid_rise")), torch.tensor([[0.18, 1.035, 0.0]]).repeat(1, 6)[:, :16])
    assert (rise[0, :2] / 0.9).tolist() == pytest.approx([0.22222, 1.11111], abs=1e-5)
    assert abs(rise[0, 2].item()) == pytest.approx(1 / 15)
    tread = convert(bank(converter(bits=4)), torch.tensor([[0.18, 1.035, 0.0, 0.3]]).repeat(1, 4))
    assert tread[0, :4].tolist() == pytest.approx([1 / 7, 1.0, 0.0, 2 / 7])


def test_gain_and_offset_spread_as_stated_and_belong_to_the_converter() -> None:
    """Standard deviations within 99.9 % bounds; the columns of one converter share them; they stay for ever."""
    adc = converter(bits=14, gain_error=0.02, offset_error=3.0, columns_per_adc=2)
    bench = bank(adc, columns=4000)
    low, high = np.sqrt(np.array(stats.chi2.interval(0.999, 1999)) / 1999)
    assert low < np.std(bench.gain, ddof=1) / 0.02 < high
    assert low < np.std(bench.offset, ddof=1) / 3.0 < high
    zero = convert(bench, torch.zeros(1, 4000))[0]
    assert torch.equal(zero[::2], zero[1::2]) and zero.unique().numel() > 5
    assert torch.equal(zero, convert(bank(adc, columns=4000), torch.zeros(1, 4000))[0])
    slope = (convert(bench, torch.full((1, 4000), 0.5))[0] - zero)[::2].numpy() / 0.5
    np.testing.assert_allclose(slope, bench.gain[0], atol=3e-4)


@pytest.mark.parametrize(
    "settings",
    [
        {"circuit": "sar", "mismatch": 0.05},
        {"circuit": "ramp", "mismatch": 0.05},
        {"codes": "mid_rise"},
        {"gain_error": 0.02},
        {"offset_error": 4.0},
    ],
)
def test_in_a_matrix(milo: Hardware, settings: dict[str, Any]) -> None:
    """A circuit error disturbs the product a little, `without("adc")` switches it off, `exact` reads stay exact."""
    quiet = milo.without("read_noise", "programming_error", "levels", "dac")
    weight = torch.randn(9, 30, generator=torch.Generator().manual_seed(0))
    x = torch.randn(50, 30, generator=torch.Generator().manual_seed(1))
    flawed = quiet.replace(adc=quiet.adc.replace(**settings))
    exact = x @ weight.T
    errors = [
        float((Chip(hardware).matrix("w", weight)(x) - exact).std() / exact.std())
        for hardware in (flawed.without("adc"), quiet, flawed)
    ]
    assert errors[0] < 1e-6 < errors[1] < 0.01
    assert errors[1] * 0.5 < errors[2] < 0.2
    if settings != {"codes": "mid_rise"}:
        assert errors[2] > errors[1] * 1.02
    clipped = Chip(flawed).matrix("w", weight).eval()
    clipped(x)
    clipped(3 * x)
    assert clipped.clipped_share() == pytest.approx(0, abs=0.02)  # each vector has its own scale


def test_mismatch_of_a_plain_converter_is_refused() -> None:
    with pytest.raises(SpecError, match="circuit"):
        converter(mismatch=0.1)
