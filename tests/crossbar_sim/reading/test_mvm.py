"""The analog product: compiled kernel against a slow twin and a torch twin; its noise against per-cell drawing."""

from __future__ import annotations

import numba
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from crossbar_sim import Hardware
from crossbar_sim.chip.simulated import SimulatedMatrix
from crossbar_sim.ledger.ledger import Ledger
from crossbar_sim.reading.compiled import tiles as mvm_kernels
from crossbar_sim.reading.compiled.llvm import noise_block
from crossbar_sim.reading.compiled.llvm.blocks import BYTE_PRODUCT, WIDE
from crossbar_sim.reading.compiled.llvm.vector_code import PANEL, processor_has
from crossbar_sim.reading.programmed import Programmed
from crossbar_sim.reading.readers.base import Reading
from crossbar_sim.reading.readers.currents import currents_reader
from crossbar_sim.reading.readers.torch_twin import TorchReader
from crossbar_sim.reading.readers.whole_levels import whole_levels_reader
from crossbar_sim.runtime.counter_random import Key, normal_pair, stream_key, torch_normal_pair
from tests.oracles.on_threads import on_threads
from tests.oracles.reads import Conversion
from tests.oracles.weights import naive_read, naive_whole_read

KEY = stream_key(0, "test")


def read_numba(
    x: torch.Tensor, matrix: Programmed, conversion: Conversion, key: Key, first: int, bytewise: bool = BYTE_PRODUCT
) -> Reading:
    """By the reader of whole levels where the matrix has them, else by that of currents."""
    if matrix.reads_whole(conversion.dac_steps):
        reader = whole_levels_reader(matrix, conversion.converters, bytewise)
    else:
        reader = currents_reader(matrix, conversion.converters, key)
    return reader.read(x, conversion.full_drive, conversion.ranges, first)


def read_torch(x: torch.Tensor, matrix: Programmed, conversion: Conversion, key: Key, first: int) -> Reading:
    return TorchReader(matrix, conversion.converters, key).read(x, conversion.full_drive, conversion.ranges, first)


def make(inputs: int, outputs: int, tile: tuple[int, int], noise: float = 0.0, seed: int = 0) -> Programmed:
    generator = np.random.default_rng(seed)
    matrix = Programmed.empty(inputs, outputs, *tile, noisy=noise > 0)
    matrix.current[:] = 1e-5 * generator.standard_normal((inputs, outputs))
    if matrix.variance is not None:
        matrix.variance[:] = noise**2
    matrix.line_conductance[:] = 1e-4 * generator.random(inputs)
    matrix.input_scale[:], matrix.output_scale[:] = 0.5 + generator.random(inputs), 0.5 + generator.random(outputs)
    return matrix


def converters(matrix: Programmed, dac: int, adc: int, full: float = 3e-5) -> Conversion:
    return Conversion(dac, adc, np.full(matrix.grid, full, np.float32))


@given(
    vectors=st.integers(1, 9),
    inputs=st.integers(1, 40),
    outputs=st.integers(1, 20),
    rows=st.integers(1, 24),
    columns=st.integers(1, 8),
    dac=st.sampled_from([0, 7, 127]),
    adc=st.sampled_from([0, 7, 127]),
    seed=st.integers(0, 99),
)
@settings(max_examples=60, deadline=None)
def test_kernel_equals_its_slow_twin(
    vectors: int, inputs: int, outputs: int, rows: int, columns: int, dac: int, adc: int, seed: int
) -> None:
    matrix = make(inputs, outputs, (rows, columns), seed=seed)
    conversion = converters(matrix, dac, adc)
    x = torch.randn(vectors, inputs, generator=torch.Generator().manual_seed(seed))
    fast = read_numba(x, matrix, conversion, KEY, 0)
    slow, clipped = naive_read(x.numpy(), matrix, conversion)
    one_code = 3e-5 / adc if adc else 0.0
    limit = x.abs().max().item() * 3
    wrong = ~np.isclose(fast.output, slow, rtol=1e-4, atol=1e-10)
    # a current that lies on the edge between two codes may fall on either side in float32
    assert wrong.mean() <= (0.02 if adc else 0.0) + 1 / wrong.size * bool(adc)
    assert np.abs(fast.output.numpy() - slow).max() <= 1e-9 + limit * one_code * matrix.grid[0] * 2
    assert abs(int(fast.clipped.sum()) - clipped.sum()) <= 1


@pytest.mark.parametrize("noise", [0.0, 3e-7])
@pytest.mark.parametrize(("vectors", "inputs", "outputs"), [(7, 64, 64), (5, 300, 131), (1, 4, 3), (170, 128, 10)])
def test_kernel_equals_its_torch_twin(vectors: int, inputs: int, outputs: int, noise: float) -> None:
    matrix = make(inputs, outputs, (128, 64), noise)
    conversion = converters(matrix, 127, 127)
    x = torch.randn(vectors, inputs, generator=torch.Generator().manual_seed(1))
    ours, twin = (kernel(x, matrix, conversion, KEY, 11) for kernel in (read_numba, read_torch))
    size = ours.output.abs().max()
    codes_apart = (ours.output - twin.output).abs() > 1e-5 * size
    assert codes_apart.float().mean() < 2e-3
    assert ours.conduction == pytest.approx(twin.conduction, rel=1e-5)
    np.testing.assert_allclose(ours.peaks, twin.peaks, rtol=1e-4)
    assert abs(ours.clipped.sum() - twin.clipped.sum()) <= 1 + 2e-3 * ours.output.numel()


def test_read_noise_equals_drawing_every_cell() -> None:
    """Variance of a column current = sum of squared drives times cell variances; Gaussian; 99.99 % bounds."""
    reads, inputs = 40_000, 50
    matrix = make(inputs, 2, (128, 64), noise=2e-6)
    x = torch.randn(1, inputs, generator=torch.Generator().manual_seed(2))
    exact, _ = naive_read(x.numpy(), matrix, converters(matrix, 0, 0))
    noisy = read_numba(x.expand(reads, -1), matrix, converters(matrix, 0, 0), KEY, 0).output.numpy().astype(float)
    scaled = x.numpy()[0] * matrix.input_scale
    cell_by_cell = np.sqrt((scaled**2).sum()) * 2e-6 * matrix.output_scale
    z = (noisy - exact) / cell_by_cell
    low, high = np.array(stats.chi2.interval(0.9999, reads - 1)) / (reads - 1)
    for column in range(2):
        assert low < z[:, column].var(ddof=1) < high
        assert abs(z[:, column].mean()) < stats.norm.ppf(0.99995) / np.sqrt(reads)
        assert stats.kstest(z[:, column], "norm").pvalue > 1e-4
    assert abs(np.corrcoef(z.T)[0, 1]) < 4 / np.sqrt(reads)
    assert abs(np.corrcoef(z[:-1, 0], z[1:, 0])[0, 1]) < 4 / np.sqrt(reads)


def test_noise_belongs_to_the_read_number_not_to_the_batch() -> None:
    matrix = make(64, 33, (32, 16), noise=1e-6)
    conversion = converters(matrix, 127, 127)
    x = torch.randn(21, 64, generator=torch.Generator().manual_seed(3))
    whole = read_numba(x, matrix, conversion, KEY, 5).output
    pieces = [read_numba(x[a:b], matrix, conversion, KEY, 5 + a).output for a, b in ((0, 1), (1, 14), (14, 21))]
    assert torch.equal(whole, torch.cat(pieces))
    assert not torch.equal(whole, read_numba(x, matrix, conversion, KEY, 6).output)


LEVEL = 1e-5 / 127


def make_whole(inputs: int, outputs: int, tile: tuple[int, int], seed: int = 0, largest: int = 127) -> Programmed:
    """Every pair stands on a level, as noise-free cells do."""
    matrix = make(inputs, outputs, tile, seed=seed)
    matrix.current[:] = LEVEL * np.random.default_rng(seed).integers(-largest, largest + 1, (inputs, outputs))
    matrix.settle(LEVEL)
    assert matrix.levels is not None
    return matrix


@given(
    vectors=st.integers(1, 30),
    inputs=st.integers(1, 40),
    outputs=st.integers(1, 40),
    rows=st.integers(1, 24),
    columns=st.integers(1, 40),
    largest=st.sampled_from([1, 127, 255]),
    dac=st.sampled_from([1, 7, 127, 255]),
    adc=st.sampled_from([0, 7, 127]),
    seed=st.integers(0, 99),
)
@settings(max_examples=60, deadline=None)
def test_whole_levels_are_read_bit_for_bit_the_same_everywhere(
    *, vectors: int, inputs: int, outputs: int, rows: int, columns: int, largest: int, dac: int, adc: int, seed: int
) -> None:
    """By the processor's products of bytes and of 16-bit numbers (where it has them), by float32 and in Python's
    integers."""
    matrix = make_whole(inputs, outputs, (rows, columns), seed, largest)
    conversion = converters(matrix, dac, adc)
    x = torch.randn(vectors, inputs, generator=torch.Generator().manual_seed(seed))
    ours, portable = (
        read_numba(x, matrix, conversion, KEY, 0),
        read_numba(x, matrix, conversion, KEY, 0, bytewise=False),
    )
    slow, clipped = naive_whole_read(x.numpy(), matrix, conversion)
    for reading in (ours, portable):
        assert np.array_equal(reading.output, slow)
        assert np.array_equal(reading.clipped, clipped)
    assert ours.conduction == portable.conduction
    assert np.array_equal(ours.peaks, portable.peaks)


@pytest.mark.parametrize("adc", [0, 127])
def test_whole_levels_read_as_their_currents_do(adc: int) -> None:
    matrix = make_whole(300, 131, (128, 64))
    conversion = converters(matrix, 127, adc, full=2e-4)
    x = torch.randn(70, 300, generator=torch.Generator().manual_seed(0))
    whole = read_numba(x, matrix, conversion, KEY, 0)
    matrix.settle(None)
    assert matrix.levels is None
    current = read_numba(x, matrix, conversion, KEY, 0)
    apart = (whole.output - current.output).abs() > 1e-5 * current.output.abs().max()
    assert apart.float().mean() <= (1e-3 if adc else 0.0)  # a sum on the edge of two codes
    assert whole.conduction == pytest.approx(current.conduction, rel=1e-6)
    np.testing.assert_allclose(whole.peaks, current.peaks, rtol=1e-6)


def test_only_cells_on_levels_are_read_as_whole_numbers() -> None:
    matrix = make_whole(20, 10, (8, 8))
    assert matrix.reads_whole(127) and matrix.reads_whole(255) and not matrix.reads_whole(0)
    assert matrix.fits_bytes(127) and not matrix.fits_bytes(255)
    matrix.current[3, 4] += 0.01 * LEVEL
    matrix.settle(LEVEL)
    assert matrix.levels is None and not matrix.reads_whole(127)
    matrix.current[3, 4] = 200 * LEVEL
    matrix.settle(LEVEL)
    assert matrix.reads_whole(127) and not matrix.fits_bytes(127)
    matrix.current[3, 4] = 1024 * LEVEL
    matrix.settle(LEVEL)
    assert matrix.levels is None
    noisy = make(20, 10, (8, 8), noise=1e-7)
    noisy.current[:] = 0
    noisy.settle(LEVEL)
    assert noisy.levels is None
    deep = make_whole(20, 10, (1041, 8))
    assert deep.largest_level == 127
    assert not deep.reads_whole(127), "sums may pass 2^24"


def test_a_mapped_matrix_finds_its_levels(milo: Hardware) -> None:
    exact = milo.without("programming_error", "read_noise", "faults")
    x = torch.randn(30, 70, generator=torch.Generator().manual_seed(0))
    weight = torch.randn(40, 70, generator=torch.Generator().manual_seed(1))
    whole, current = (SimulatedMatrix(exact, Ledger(), 0, "layer", weight) for _ in range(2))
    for transposed in (False, True):
        current.path(transposed).resettle(None)
    for transposed in (False, True):
        assert whole.path(transposed).programmed.levels is not None
        ours, same = (matrix.read(x if not transposed else x[:, :40], transposed) for matrix in (whole, current))
        apart = (ours - same).abs() > 1e-5 * same.abs().max()
        assert apart.float().mean() < 5e-3
    for inexact in (milo, exact.replace(tile=exact.tile.replace(word_line_resistance=1.0))):
        matrix = SimulatedMatrix(inexact, Ledger(), 0, "layer", weight)
        assert all(matrix.path(transposed).programmed.levels is None for transposed in (False, True))


@pytest.mark.parametrize(("inputs", "outputs", "tile"), [(300, 131, (128, 64)), (5, 40, (1, 7))])
def test_the_same_variance_everywhere_needs_no_second_product(inputs: int, outputs: int, tile: tuple[int, int]) -> None:
    matrix = make(inputs, outputs, tile, 3e-7)
    conversion = converters(matrix, 127, 0)
    x = torch.randn(30, inputs, generator=torch.Generator().manual_seed(1))
    whole_product = read_numba(x, matrix, conversion, KEY, 11)
    matrix.settle(None)
    assert matrix.even
    short = read_numba(x, matrix, conversion, KEY, 11)
    size = short.output.abs().max()
    assert torch.allclose(short.output, whole_product.output, rtol=1e-5, atol=float(1e-6 * size))
    assert matrix.variance is not None
    matrix.variance[0, 0] *= 2
    matrix.settle(None)
    assert not matrix.even


def test_threads_share_large_reads_without_changing_them() -> None:
    matrix = make(512, 512, (128, 64), noise=1e-6)
    x = torch.randn(21, 512, generator=torch.Generator().manual_seed(3))
    alone = read_numba(x, matrix, converters(matrix, 127, 127), KEY, 0)
    assert x.numel() * 512 > 2 * mvm_kernels.LEAST_WORK
    with on_threads(2):
        shared = read_numba(x, matrix, converters(matrix, 127, 127), KEY, 0)
    assert torch.equal(alone.output, shared.output)
    assert alone.conduction == shared.conduction
    assert np.array_equal(alone.peaks, shared.peaks) and np.array_equal(alone.clipped, shared.clipped)


def test_adc_clips_at_its_range_and_counts_it() -> None:
    matrix = Programmed.empty(4, 3, 4, 3, noisy=False)
    matrix.current[:], matrix.input_scale[:], matrix.output_scale[:] = 1e-5, 1, 1
    reading = read_numba(torch.ones(2, 4), matrix, converters(matrix, 0, 127, full=1e-5), KEY, 0)
    assert torch.allclose(reading.output, torch.full((2, 3), 1e-5))
    assert reading.clipped.item() == 6
    assert reading.peaks.item() == pytest.approx(4e-5)


def test_zero_and_nan_vectors() -> None:
    matrix = make(8, 4, (8, 4))
    assert read_numba(torch.zeros(3, 8), matrix, converters(matrix, 127, 127), KEY, 0).output.abs().sum() == 0
    tiny = torch.full((3, 8), 1e-41)  # below the smallest normal float
    for kernel in (read_numba, read_torch):
        reading = kernel(tiny, matrix, converters(matrix, 127, 127), KEY, 0)
        assert reading.output.abs().sum() == 0 and reading.conduction == 0
    x = torch.ones(3, 8)
    x[1, 2] = torch.nan
    nan = read_numba(x, matrix, converters(matrix, 127, 127), KEY, 0).output.isnan()
    assert nan[1].all() and not nan[[0, 2]].any()
    assert not np.isfinite(read_numba(x, matrix, converters(matrix, 127, 127), KEY, 0).conduction)


def test_counter_normals_are_normal_and_equal_in_torch() -> None:
    count = 100_000
    drawn = draw(count, *KEY)
    twin = torch.stack(torch_normal_pair(torch.arange(count), torch.full((count,), 7), KEY), 1).numpy()
    assert np.abs(drawn - twin).max() < 3e-5
    assert stats.kstest(drawn.reshape(-1), "norm").pvalue > 1e-4
    assert abs(np.corrcoef(drawn.T)[0, 1]) < 4 / np.sqrt(count)


def test_noise_in_vector_registers_is_the_same() -> None:
    """16 pairs at a time, rows and columns as counters; the same bits where products and sums are fused."""
    first_read, first_pair = np.uint32(2**32 - 3), np.uint32(48)
    drawn = np.empty((2, WIDE, PANEL // 2), np.float32)
    draw_block(WIDE, first_read, first_pair, *KEY, drawn)
    twin = np.empty_like(drawn)
    draw_one_by_one(first_read, first_pair, *KEY, twin)
    assert np.array_equal(drawn, twin) if processor_has("fma") else np.abs(drawn - twin).max() < 1e-5


@numba.njit
def draw_block(rows, first_read, first_pair, k0, k1, normals):  # type: ignore[no-untyped-def]
    noise_block.draw(rows, first_read, first_pair, k0, k1, normals.ctypes.data)


@numba.njit(fastmath={"contract"})
def draw_one_by_one(first_read, first_pair, k0, k1, normals):  # type: ignore[no-untyped-def]
    for row in range(normals.shape[1]):
        for lane in range(normals.shape[2]):
            pair = normal_pair(np.uint32(first_read + row), np.uint32(first_pair + lane), k0, k1)
            normals[0, row, lane], normals[1, row, lane] = pair


@pytest.mark.parametrize("whole", [False, True])
def test_serial_drives_conduct_once_per_bit(whole: bool) -> None:
    matrix = make_whole(40, 20, (16, 20))
    matrix.settle(LEVEL if whole else None)
    conversion = Conversion(255, 0, np.ones(matrix.grid, np.float32), serial=True)
    x = torch.randn(7, 40, generator=torch.Generator().manual_seed(0))
    x[2] = 0
    scaled = x.numpy() * matrix.input_scale
    largest = np.abs(scaled).max(axis=1, keepdims=True)
    codes = np.rint(scaled * (np.float32(1) / np.where(largest > 0, largest, 1)) * np.float32(255)).astype(int)
    expected = np.bitwise_count(np.abs(codes)).sum(axis=0) @ matrix.line_conductance.astype(float)
    for kernel in (read_numba, read_torch):
        assert kernel(x, matrix, conversion, KEY, 0).conduction == pytest.approx(expected, rel=1e-6)
        assert np.isnan(kernel(torch.full((1, 40), torch.nan), matrix, conversion, KEY, 0).conduction)


@numba.njit
def draw(count, k0, k1):  # type: ignore[no-untyped-def]
    result = np.empty((count, 2), np.float32)
    for i in range(count):
        result[i] = normal_pair(np.uint32(i), np.uint32(7), k0, k1)
    return result


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_torch_twin_gives_the_same_on_cuda() -> None:
    matrix = make(300, 131, (128, 64), 3e-7)
    conversion = converters(matrix, 127, 127)
    x = torch.randn(50, 300, generator=torch.Generator().manual_seed(1))
    ours, twin = read_numba(x, matrix, conversion, KEY, 0), read_torch(x.cuda(), matrix, conversion, KEY, 0)
    apart = (ours.output - twin.output.cpu()).abs() > 1e-5 * ours.output.abs().max()
    assert apart.float().mean() < 2e-3
