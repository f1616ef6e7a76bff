"""Bit-serial reads in whole numbers: both ways of summing against Python's integers and the general read path."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from crossbar_sim import Chip, Hardware
from crossbar_sim.reading.choose import conversions_reader
from crossbar_sim.reading.compiled.llvm.bit_blocks import LOOKUP, VECTORS
from crossbar_sim.reading.programmed import Programmed
from crossbar_sim.reading.readers.base import Converters, Reading
from crossbar_sim.reading.readers.bit_serial import BitSerialReader, SlicedLevels
from tests.oracles.on_threads import on_threads
from tests.oracles.reads import Conversion, naive_bit_serial_read

LEVEL = 1e-7
WAYS = (True, False) if LOOKUP else (False,)


def make(
    inputs: int, columns: int, tile: tuple[int, int], slices: int = 1, largest: int = 3, seed: int = 0
) -> SlicedLevels:
    """Random levels of at most `largest`, each column of `tile` in `slices` places."""
    generator, width, index = np.random.default_rng(seed), tile[1], np.arange(columns)
    places = np.stack([(index // width * slices + s) * width + index % width for s in range(slices)])
    cells = Programmed.empty(inputs, int(places.max()) + 1, *tile, noisy=False)
    cells.current[:] = LEVEL * generator.integers(-largest, largest + 1, cells.current.shape)
    cells.line_conductance[:] = 1e-4 * generator.random(inputs)
    cells.input_scale[:] = 0.5 + generator.random(inputs)
    cells.output_scale[:] = 0.5 + generator.random(cells.current.shape[1])
    cells.tile_scale[:] = 0.5 + generator.random(cells.grid)
    cells.settle(LEVEL)
    arranged = SlicedLevels.of(cells, places, (largest + 1.0) ** np.arange(slices))
    assert arranged is not None
    return arranged


def conversion_of(cells: SlicedLevels, dac_bits: int, adc_steps: int, one_code: float, full: float = 0.0) -> Conversion:
    """One code of every ADC is about `one_code` levels."""
    spread = np.random.default_rng(1).choice([1.0, 1.25], cells.programmed.grid)
    ranges = (adc_steps * one_code * LEVEL * spread).astype(np.float32)
    return Conversion(2**dac_bits - 1, adc_steps, ranges, full)


def read_bits(x: torch.Tensor, cells: SlicedLevels, conversion: Conversion, lookup: bool = LOOKUP) -> Reading:
    reader = BitSerialReader(cells, conversion.converters, lookup)
    return reader.read(x, conversion.full_drive, conversion.ranges, 0)


def same(ours: Reading, twin: Reading) -> None:
    assert np.array_equal(ours.output, twin.output, equal_nan=True)
    assert ours.conduction == pytest.approx(twin.conduction, rel=1e-12, nan_ok=True)
    assert np.array_equal(ours.peaks, twin.peaks)
    assert np.array_equal(ours.clipped, twin.clipped)


@given(
    vectors=st.integers(1, 40),
    inputs=st.integers(1, 50),
    columns=st.integers(1, 11),
    rows=st.integers(1, 30),
    width=st.integers(1, 11),
    slices=st.integers(1, 3),
    largest=st.sampled_from([1, 3, 15, 21]),
    dac_bits=st.integers(1, 9),
    adc=st.sampled_from([3, 31, 127]),
    one_code=st.sampled_from([1.0, 0.6, 2.7]),
    signed=st.booleans(),
    full=st.sampled_from([0.0, 1.0]),
    seed=st.integers(0, 99),
)
@settings(max_examples=40, deadline=None)
def test_every_conversion_is_that_of_whole_numbers(
    *,
    vectors: int,
    inputs: int,
    columns: int,
    rows: int,
    width: int,
    slices: int,
    largest: int,
    dac_bits: int,
    adc: int,
    one_code: float,
    signed: bool,
    full: float,
    seed: int,
) -> None:
    cells = make(inputs, columns, (rows, width), slices, largest, seed)
    conversion = conversion_of(cells, dac_bits, adc, one_code, full)
    x = torch.randn(vectors, inputs, generator=torch.Generator().manual_seed(seed))
    x = x if signed else x.abs()
    twin = naive_bit_serial_read(x.numpy(), cells, conversion)
    for lookup in WAYS:
        same(read_bits(x, cells, conversion, lookup), twin)


@pytest.mark.parametrize("lookup", WAYS)
def test_ends_of_what_sums_hold(lookup: bool) -> None:
    """All levels and bits set on tiles as deep as sums allow, 15 bits, both signs; nothing overflows."""
    cells = make(97, 5, (97, 5), largest=21)
    programmed = cells.programmed
    programmed.input_scale[:] = 1
    for level in (21, -21):
        programmed.current[:] = level * LEVEL
        programmed.settle(LEVEL)
        full = SlicedLevels.of(programmed, cells.places, cells.slice_weights)
        assert full is not None
        for sign in (1.0, -1.0):
            x = torch.full((VECTORS + 1, 97), sign)
            conversion = conversion_of(full, 15, 511, 4.0)
            same(read_bits(x, full, conversion, lookup), naive_bit_serial_read(x.numpy(), full, conversion))


@pytest.mark.parametrize("lookup", WAYS)
def test_zero_and_nan_vectors(lookup: bool) -> None:
    cells = make(20, 6, (8, 6))
    conversion = conversion_of(cells, 7, 31, 1.0)
    assert read_bits(torch.zeros(3, 20), cells, conversion, lookup).output.abs().sum() == 0
    assert read_bits(torch.zeros(0, 20), cells, conversion, lookup).output.shape == (0, 6)
    for bad in (torch.nan, torch.inf):
        x = torch.ones(3, 20)
        x[1, 2] = bad
        reading = read_bits(x, cells, conversion, lookup)
        assert reading.output[1].isnan().all() and not reading.output[[0, 2]].isnan().any()
        assert np.isnan(reading.conduction)


@pytest.mark.parametrize("lookup", WAYS)
def test_batches_and_threads_do_not_change_reads(lookup: bool) -> None:
    """More vectors than pass at once, alone, shared by two threads and in pieces."""
    cells = make(700, 70, (128, 32), 4)
    conversion = conversion_of(cells, 8, 127, 1.0)
    x = torch.randn(400, 700, generator=torch.Generator().manual_seed(3))
    whole = read_bits(x, cells, conversion, lookup)
    pieces = [read_bits(x[a:b], cells, conversion, lookup) for a, b in ((0, 1), (1, 200), (200, 400))]
    assert torch.equal(whole.output, torch.cat([piece.output for piece in pieces]))
    assert np.array_equal(whole.clipped, sum(piece.clipped for piece in pieces))
    with on_threads(2):
        same(read_bits(x, cells, conversion, lookup), whole)


def test_only_small_whole_levels_are_read_so() -> None:
    cells = make(20, 6, (8, 6))
    programmed, places, weights = cells.programmed, cells.places, cells.slice_weights
    assert not cells.suit(Converters(127, 0))
    assert not cells.suit(Converters(2**15 - 1, 8191))
    programmed.current[0, 0] = 22 * LEVEL
    programmed.settle(LEVEL)
    assert SlicedLevels.of(programmed, places, weights) is None, "a table entry would not fit a byte"
    programmed.current[0, 0] = 0.5 * LEVEL
    programmed.settle(LEVEL)
    assert SlicedLevels.of(programmed, places, weights) is None, "off its level"
    deep = Programmed.empty(2, 3, 683, 3, noisy=False)
    deep.current[:] = 3 * LEVEL
    deep.settle(LEVEL)
    assert SlicedLevels.of(deep, np.arange(3)[None], np.ones(1)) is None, "two sums could not be told apart"


@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("adc_range", ["granular", "calibrated"])
@pytest.mark.parametrize("tile", [{}, {"slices": 4, "slice_bits": 2}, {"slices": 3, "slice_bits": 1, "scale": "tile"}])
def test_chips_read_the_same_as_through_the_general_path(
    milo: Hardware, tile: dict[str, Any], adc_range: str, transposed: bool
) -> None:
    chip = milo.without("read_noise", "programming_error", "faults")
    hardware = chip.replace(
        device=chip.device.replace(levels=4),
        tile=chip.tile.replace(rows=16, columns=80, **tile),
        dac=chip.dac.replace(drive="bit_serial", bits=6),
        adc=chip.adc.replace(range=adc_range, bits=5),
    )
    weight = torch.randn(23, 40, generator=torch.Generator().manual_seed(0))
    x = torch.randn(50, 23 if transposed else 40, generator=torch.Generator().manual_seed(1))
    fast, slow = (Chip(hardware).matrix("w", weight).path(transposed) for _ in range(2))
    cells = SlicedLevels.of(fast.programmed, fast.direction.places, fast.direction.layout.slice_weights)
    assert cells is not None
    fast.readers["cpu"] = BitSerialReader(cells, fast.direction.converters)
    slow.prepare()
    slow.readers["cpu"] = conversions_reader(slow.direction, "cpu")
    for batch in x.split(25):
        ours, twin = fast.read(batch, tracking=True), slow.read(batch, tracking=True)
        assert (ours.output - twin.output).abs().max() <= 1e-6 * twin.output.abs().max()
        assert ours.conduction == pytest.approx(twin.conduction, rel=1e-6)
        assert np.array_equal(ours.clipped, twin.clipped)
        np.testing.assert_array_equal(ours.peaks, twin.peaks)
        assert fast.registers.clipped == slow.registers.clipped
