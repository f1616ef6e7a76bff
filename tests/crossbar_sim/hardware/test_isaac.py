"""The library's ISAAC as a chip that computes: 16-bit weights in 8 cells of 2 bits, inputs bit by bit."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from crossbar_sim import Chip, Hardware, SpecError
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


@pytest.mark.parametrize("inputs", [9, 128, 200])
def test_the_8_bit_converter_loses_nothing_whatever_was_read_before(inputs: int) -> None:
    """Section 5 of Shafiee et al. 2016: columns that could need a ninth bit are stored flipped, so 8 bits hold the sums
    of 128 one-bit inputs and 2-bit cells, forward and transposed, after a ReLU and when all inputs are largest."""
    exact, *_ = mapped(Hardware.load("isaac_ce").without("adc"), inputs)
    rounded, weight, x = mapped(Hardware.load("isaac_ce"), inputs)
    for vectors in (x, x.relu(), torch.ones_like(x), -torch.ones_like(x)):
        with torch.no_grad():
            assert torch.equal(rounded(vectors), exact(vectors))
    back = torch.randn(7, 20, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        found = rounded.gradient_to_input(back).double()
    share = (back.double() * weight.abs().amax(dim=1)).abs().amax(dim=1, keepdim=True)  # what drives a line fully
    most = 20 * share * (0.5 / (2**15 - 1) + 1 / (2**16 - 1)) + 1e-6
    assert ((found - back.double() @ weight).abs() <= most).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda h: {"tile": h.tile.replace(rows=256)}, "take at most 170 rows or more bits"),
        (lambda h: {"adc": h.adc.replace(bits=7)}, "take at most 84 rows"),
        (lambda h: {"adc": h.adc.replace(range="calibrated")}, "range = 'granular'"),
        (lambda h: {"adc": h.adc.replace(circuit="sar")}, "circuit = 'uniform'"),
        (lambda h: {"dac": h.dac.replace(drive="multi_level")}, "dac.drive = 'bit_serial'"),
    ],
)
def test_flipped_codes_are_refused_where_they_cannot_hold_every_sum(change: Any, message: str) -> None:
    isaac = Hardware.load("isaac_ce")
    with pytest.raises(SpecError, match=message):
        isaac.replace(**change(isaac))


def test_flipped_codes_fit_as_many_rows_as_two_ninth_bits_tell_apart() -> None:
    isaac = Hardware.load("isaac_ce")
    assert isaac.replace(tile=isaac.tile.replace(rows=170)).tile.rows == 170  # 170 x 3 = 2 (2^8 - 1)


def test_a_read_is_billed_as_the_datasheet_says() -> None:
    """128 x 15 weights fill one array: 16 cycles, 120 outputs' and 8 references' columns."""
    chip = Chip(Hardware.load("isaac_ce"))
    matrix = chip.matrix("a", torch.randn(15, 128, generator=torch.Generator().manual_seed(0)))
    matrix(torch.randn(1, 128))
    counts = {component: entry.count for (component,), entry in chip.ledger.by("component").items()}
    assert counts["ADC"] == counts["sample-and-hold"] == 16 * 128 and counts["DAC"] == 16 * 128
    ledger = chip.ledger.by_component("infer")
    assert ledger["ADC"] == pytest.approx(3.2e-9) and ledger["DAC"] == pytest.approx(0.8e-9)
