"""Reads of every mapping: equal to the digital product when all is ideal, and to a slow twin when nothing is."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from crossbar_sim import Chip, Hardware
from crossbar_sim.chip.simulated import SimulatedMatrix
from crossbar_sim.reading.choose import conversions_reader
from crossbar_sim.reading.readers.lossless import is_lossless
from tests.oracles.reads import naive_forward

MAPPINGS = ("differential", "two_sided", "offset")
SLICES: tuple[dict[str, int], ...] = ({}, {"slices": 4, "slice_bits": 2})
SCALES = ("column", "tile", "matrix")
DRIVES = ("multi_level", "bit_serial")


def build(hardware: Hardware, inputs: int = 40, outputs: int = 11, seed: int = 0, **tile: Any) -> SimulatedMatrix:
    """A matrix on several small tiles, the last ones partly used."""
    spec = hardware.tile.replace(**{"rows": 16, "columns": 40, **tile})
    weight = torch.randn(outputs, inputs, generator=torch.Generator().manual_seed(seed))
    return Chip(hardware.replace(tile=spec), seed).matrix("w", weight)


def lossless(matrix: SimulatedMatrix, transposed: bool = False) -> bool:
    return is_lossless(matrix.hardware, matrix.layout, transposed)


def vectors(count: int, size: int, seed: int = 1) -> torch.Tensor:
    return torch.randn(count, size, generator=torch.Generator().manual_seed(seed))


COMBINATIONS = list(itertools.product(MAPPINGS, SLICES, SCALES, DRIVES))


@pytest.mark.parametrize(("mapping", "slices", "scale", "drive"), COMBINATIONS)
def test_ideal_hardware_is_the_digital_product(
    ideal: Hardware, mapping: str, slices: dict[str, int], scale: str, drive: str
) -> None:
    """Both directions, and the weights that the cells stand for; the converters' settings do not matter when exact."""
    hardware = ideal.replace(dac=ideal.dac.replace(drive=drive))
    matrix = build(hardware, mapping=mapping, scale=scale, **slices)
    x, gradient = vectors(5, 40).requires_grad_(), vectors(5, 11)
    y = matrix(x)
    y.backward(gradient)
    weight = matrix.master.detach().double()
    for ours, exact in ((y, x.double() @ weight.T), (x.grad, gradient.double() @ weight)):
        assert ours is not None
        assert (ours - exact).abs().max() <= 1e-6 * exact.abs().max()
    torch.testing.assert_close(matrix.weight(), matrix.master, rtol=0, atol=1e-6)


@given(
    mapping=st.sampled_from(MAPPINGS),
    slices=st.sampled_from(SLICES),
    scale=st.sampled_from(SCALES),
    drive=st.sampled_from(DRIVES),
    exact=st.booleans(),
    inputs=st.integers(1, 40),
    outputs=st.integers(1, 12),
)
def test_reads_equal_their_slow_twin(
    milo: Hardware, mapping: str, slices: dict[str, int], scale: str, drive: str, exact: bool, inputs: int, outputs: int
) -> None:
    """With programming error, levels and converters."""
    hardware = milo.without("read_noise").replace(
        dac=milo.dac.replace(drive=drive, bits=5), adc=milo.adc.replace(exact=exact, range="full_scale", bits=9)
    )
    matrix = build(hardware, inputs, outputs, mapping=mapping, scale=scale, **slices)
    x = vectors(3, inputs)
    ranges = None if exact else matrix.registers().ranges
    slow = naive_forward(matrix, x.numpy(), ranges)
    apart = np.abs(matrix(x).detach().numpy() - slow) > 1e-5 * max(np.abs(slow).max(), 1e-3)
    # a sum on the edge between two codes may fall on either side in float32
    assert apart.mean() <= (0.0 if exact else 0.1)


@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize(("mapping", "slices", "drive"), list(itertools.product(MAPPINGS[:2], SLICES, DRIVES)))
def test_an_adc_that_loses_nothing_collapses_to_one_product(
    milo: Hardware, mapping: str, slices: dict[str, int], drive: str, transposed: bool
) -> None:
    """Granular range and codes enough for a whole tile: the single product gives what every conversion gives."""
    hardware = milo.without("read_noise", "programming_error").replace(
        dac=milo.dac.replace(drive=drive, bits=4), adc=milo.adc.replace(range="granular", bits=13)
    )
    matrix = build(hardware, mapping=mapping, **slices)
    path, x = matrix.path(transposed), vectors(6, 11 if transposed else 40)
    collapses = bool(slices) or drive == "bit_serial"
    assert lossless(matrix, transposed) == collapses
    fast = path.read(x, tracking=False)
    path.readers["cpu"] = conversions_reader(path.direction, "cpu")
    slow = path.read(x, tracking=False)
    assert int(slow.clipped.sum()) == 0
    assert (fast.output - slow.output).abs().max() <= 2e-6 * slow.output.abs().max()
    assert fast.conduction == pytest.approx(slow.conduction, rel=1e-5)


def test_too_few_codes_do_not_collapse(milo: Hardware) -> None:
    sliced = milo.without("read_noise", "programming_error").replace(adc=milo.adc.replace(range="granular", bits=5))
    assert not lossless(build(sliced, **SLICES[1]))
    assert not lossless(build(milo.replace(adc=milo.adc.replace(exact=True)), **SLICES[1]))  # read noise


def test_a_granular_range_puts_one_level_on_one_code(milo: Hardware) -> None:
    """Level spacing times the smallest input is one code: integer products come out exact (16 levels, 3-bit inputs)."""
    cell = milo.device.replace(levels=16)
    hardware = milo.replace(
        device=cell, dac=milo.dac.replace(bits=3), adc=milo.adc.replace(range="granular", bits=12)
    ).without("read_noise", "programming_error")
    weight = torch.randint(-15, 16, (6, 20), generator=torch.Generator().manual_seed(0)).float()
    weight[:, 0] = 15
    x = torch.randint(-3, 4, (9, 20), generator=torch.Generator().manual_seed(1)).float()
    x[:, 0] = 3
    matrix = Chip(hardware).matrix("w", weight)
    torch.testing.assert_close(matrix(x).detach(), x @ weight.T, rtol=1e-6, atol=1e-4)


@pytest.mark.parametrize("drive", DRIVES)
def test_a_calibrated_input_range_clips_and_follows(milo: Hardware, drive: str) -> None:
    hardware = milo.without("read_noise", "programming_error", "levels", "adc").replace(
        dac=milo.dac.replace(range="calibrated", drive=drive, bits=12)
    )
    matrix = build(hardware).eval()
    x = vectors(4, 40).clamp(-1, 1)
    x[:, 0] = 1.0
    exact = x @ matrix.master.T
    torch.testing.assert_close(matrix(x), exact, rtol=0, atol=1e-2)
    assert matrix.registers().full_drive == 1.0
    torch.testing.assert_close(matrix(3 * x), torch.clamp(3 * x, -1, 1) @ matrix.master.T, rtol=0, atol=1e-2)
    matrix.train()
    matrix(3 * x)
    assert matrix.registers().full_drive == 3.0
    torch.testing.assert_close(matrix(3 * x), 3 * exact, rtol=0, atol=3e-2)


def test_bill_of_bits_and_slices(milo: Hardware) -> None:
    """7 magnitude bits and 4 slices make 28 conversions where there was one; a transposed read takes slice after
    slice."""
    plain, sliced = build(milo), build(milo.replace(dac=milo.dac.replace(drive="bit_serial")), **SLICES[1])
    assert plain.bill.reads[False].counts.conversions == 11 * 3  # three row tiles
    assert sliced.bill.reads[False].counts.conversions == 11 * 3 * 28
    assert sliced.bill.reads[False].costs.time == pytest.approx(7 * plain.bill.reads[False].costs.time)
    assert sliced.bill.reads[True].costs.time == pytest.approx(28 * plain.bill.reads[False].costs.time)
    assert sliced.bill.reads[True].counts.drives == 11 * 8 * 3


def test_the_reference_costs_a_column_and_is_written_once(milo: Hardware) -> None:
    matrix = build(milo, mapping="offset", columns=8)
    assert matrix.layout.shape == (1, 40, 13)  # 7 outputs and a reference, then 4 and one
    assert matrix.cells.writes.tolist() == np.ones((1, 40, 13), int).tolist()
    with torch.no_grad():
        matrix.master *= 0.5
    matrix.program()
    references = np.unique(matrix.layout.reference_of)
    assert (matrix.cells.writes[:, :, references] == 1).all() and matrix.cells.writes.max() == 2


def test_a_sliced_cell_needs_levels_for_its_digits(milo: Hardware) -> None:
    from crossbar_sim import SpecError

    with pytest.raises(SpecError, match="9 levels"):
        milo.replace(tile=milo.tile.replace(slices=2, slice_bits=4))
