"""The library's ISAAC as a chip that computes: 16-bit weights in 8 cells of 2 bits, inputs bit by bit."""

from __future__ import annotations

import pytest
import torch

from crossbar_sim import Chip, Hardware
from crossbar_sim.chip.simulated import SimulatedMatrix


def mapped(hardware: Hardware, inputs: int) -> tuple[SimulatedMatrix, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(inputs)
    weight = 0.3 * torch.randn(20, inputs, generator=generator)  # two column tiles of 15 outputs
    return Chip(hardware).matrix("a", weight), weight.double(), torch.randn(12, inputs, generator=generator)


@pytest.mark.parametrize("inputs", [9, 128, 200])
def test_a_product_is_as_exact_as_16_bits_allow(inputs: int) -> None:
    """|y - W x| <= sum |x| dw + sum |w| dx: half a step of 2^16 - 1 in +-scale, half a step of 2^15 - 1 in +-max|x|;
    and the 24 bits of single precision."""
    matrix, weight, x = mapped(Hardware.load("isaac_ce").without("adc"), inputs)
    assert matrix.layout.shape == (8, inputs, 22)
    assert matrix.largest_weight.flatten().tolist() == weight.abs().amax(dim=1).float().tolist()
    with torch.no_grad():
        y = matrix.eval()(x).double()
    x = x.double()
    scale, largest = weight.abs().amax(dim=1), x.abs().amax(dim=1, keepdim=True)
    bound = x.abs().sum(1, keepdim=True) * scale / (2**16 - 1) + weight.abs().sum(1) * largest / 2 / (2**15 - 1)
    rounding = 2**-24 * inputs**0.5 * 8 * x.abs().sum(1, keepdim=True) * scale
    error = (y - x @ weight.T).abs()
    assert (error <= bound + rounding).all()
    assert (error > 1e-3 * bound).any()  # it is not a floating-point product


@pytest.mark.parametrize("inputs", [9, 128])
def test_the_8_bit_converter_errs_by_less_than_a_code_of_sum_and_reference(inputs: int) -> None:
    """A sum and its reference are off by half a code of the tile's range each; bits and slices weigh the error by 1."""
    chip = Hardware.load("isaac_ce")
    exact, weight, x = mapped(chip.without("adc"), inputs)
    rounded, *_ = mapped(chip, inputs)
    with torch.no_grad():
        difference = (rounded.eval()(x) - exact.eval()(x)).double().abs()
    ranges = rounded.registers().ranges
    assert ranges is not None and rounded.clipped_share() == 0
    volt, window = chip.device.read_voltage, chip.device.window
    code = float(ranges.max()) / chip.adc.steps / (volt * window / 2)
    bound = code * weight.abs().amax(dim=1) * x.double().abs().amax(dim=1, keepdim=True)
    assert (difference <= bound * (1 + 1e-5)).all() and (difference > 0).any()


def test_a_read_is_billed_as_the_datasheet_says() -> None:
    """128 x 15 weights fill one array: 16 cycles, 120 outputs' and 8 references' columns."""
    chip = Chip(Hardware.load("isaac_ce"))
    matrix = chip.matrix("a", torch.randn(15, 128, generator=torch.Generator().manual_seed(0)))
    matrix(torch.randn(1, 128))
    counts = {component: entry.count for (component,), entry in chip.ledger.by("component").items()}
    assert counts["ADC"] == counts["sample-and-hold"] == 16 * 128 and counts["DAC"] == 16 * 128
    ledger = chip.ledger.by_component("infer")
    assert ledger["ADC"] == pytest.approx(3.2e-9) and ledger["DAC"] == pytest.approx(0.8e-9)
