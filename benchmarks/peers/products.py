"""Cases B, C and D: 256 vectors through 768 x 768 weights on 128 x 128 tiles."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.peers import others
from benchmarks.peers.case import OURS, Case, DisagreementError, relative_error
from crossbar_sim import Chip, Hardware
from crossbar_sim.chip.simulated import SimulatedMatrix
from crossbar_sim.devices.laws import ConductancePolynomial
from crossbar_sim.ledger.ledger import Ledger

VECTORS, INPUTS, OUTPUTS, ROWS = 256, 768, 768, 128
STEPS = 127  # of DAC, ADC and weights
RANGE = (
    1525 / 127
)  # of the ADC, in units of the largest weight times input: about 12, and no sum lies between two codes
NOISE = 0.01  # of the largest conductance
Singles = NDArray[np.float32]
TORCH, NUMPY, BYTES, TWENTY = (
    "torch float32 product",
    "numpy float32 product",
    "torch int8 product",
    "twenty lines of torch",
)


def data(vectors: int = VECTORS, inputs: int = INPUTS, outputs: int = OUTPUTS) -> tuple[Singles, Singles]:
    """Inputs (vectors, inputs), the largest of each vector 1, and weights (outputs, inputs), the largest 1."""
    generator = np.random.default_rng(0)
    x = np.clip(generator.standard_normal((vectors, inputs)) / 3, -1, 1).astype(np.float32)
    x[:, 0] = 1.0
    weight = generator.standard_normal((outputs, inputs)).astype(np.float32)
    return x, weight / np.abs(weight).max()


def hardware(noise: float = 0.0, *, exact_adc: bool = False) -> Hardware:
    """8-bit converters, 128-level cells from 10 to 100 uS in differential pairs, tiles of 128 x 128 pairs; with noise,
    a spread of `noise` times the largest conductance, once in programming and in every read."""
    chip = Hardware.load("milo2021_128x128").without("programming_error", "read_noise", "faults")
    device = chip.device.replace(g_min=10e-6, g_max=100e-6, levels=STEPS + 1)
    if noise:
        spread = ConductancePolynomial(
            coefficients=(noise * device.g_max,),
            conductance_scale=1.0,
            sigma_scale=1.0,
            source="assumption",
            kind="assumed",
        )
        device = device.replace(programming_error=spread, read_noise=spread)
    tile = chip.tile.replace(rows=ROWS, columns=2 * ROWS, scale="matrix")
    return chip.replace(device=device, tile=tile, adc=chip.adc.replace(exact=exact_adc))


def mapped(weight: Singles, chip: Hardware) -> SimulatedMatrix:
    """The weights on tiles, their ADC ranges set to RANGE."""
    matrix = SimulatedMatrix(chip, Ledger(), 0, "layer", torch.from_numpy(weight)).eval()
    for transposed in (False, True):
        path = matrix.path(transposed)
        full = RANGE * chip.device.read_voltage * chip.device.window
        path.registers.ranges = np.full(path.programmed.grid, full, np.float32)
    return matrix


def limits(case: Case, x: Singles, weight: Singles) -> None:
    """What the machine can do: one dense product of the same size."""
    tx, tw = torch.from_numpy(x), torch.from_numpy(weight.T.copy())
    nx, nw = x, weight.T.copy()
    case.add(TORCH, lambda: tx @ tw)
    case.add(NUMPY, lambda: nx @ nw)
    bx, bw = (tx * STEPS).round().to(torch.int8), (tw * STEPS).round().to(torch.int8)
    case.add(BYTES, lambda: torch._int_mm(bx, bw))


def twenty_lines(x: Singles, weight: Singles, noise: float, exact_adc: bool) -> Callable[[], torch.Tensor]:
    """What one writes in an afternoon: quantise, a product per tile, noise per output, round, clip, add.

    weight (outputs, inputs): what the cells achieved; noise: deviation of a weight per read.
    """
    tiles = INPUTS // ROWS
    inputs, w = torch.from_numpy(x), torch.from_numpy(weight.T.copy()).view(tiles, ROWS, -1)
    to_code = STEPS / RANGE

    def run() -> torch.Tensor:
        largest = inputs.abs().amax(dim=1, keepdim=True)
        codes = (inputs / largest * STEPS).round() / STEPS
        total = torch.zeros(len(inputs), w.shape[2])
        for t, part in enumerate(codes.view(-1, tiles, ROWS).unbind(1)):
            sums = part @ w[t]
            if noise:
                sums += torch.randn_like(sums) * (noise * part.norm(dim=1, keepdim=True))
            total += sums if exact_adc else (sums * to_code).round().clamp(-STEPS, STEPS) / to_code
        return total * largest

    return run


def case_b() -> Case:
    """8-bit DAC in one shot, differential pairs, 8-bit ADC per tile column, no noise."""
    x, weight = data()
    case = Case("B", "one-shot inputs, ADC per tile column", TORCH, VECTORS * INPUTS * OUTPUTS, tolerance=1e-5)
    levels, codes = np.rint(weight.T * STEPS) / STEPS, np.rint(x * STEPS) / STEPS
    lossless = codes.astype(np.float64) @ levels
    converted = np.zeros_like(lossless)
    for top in range(0, INPUTS, ROWS):
        sums = codes[:, top : top + ROWS].astype(np.float64) @ levels[top : top + ROWS]
        converted += np.clip(np.rint(sums * (STEPS / RANGE)), -STEPS, STEPS) * (RANGE / STEPS)
    limits(case, x, weight)
    matrix, tx = mapped(weight, hardware()), torch.from_numpy(x)
    agree(relative_error(mapped(weight, hardware(exact_adc=True)).read(tx), lossless), OURS)
    case.add(OURS, lambda: matrix.read(tx), relative_error(matrix.read(tx), converted))
    currents = mapped(weight, hardware())
    for transposed in (False, True):
        currents.path(transposed).resettle(None)
    case.add(f"{OURS}, float32", lambda: currents.read(tx), relative_error(currents.read(tx), converted))
    run = twenty_lines(x, levels.T.astype(np.float32), 0.0, False)
    agree(relative_error(twenty_lines(x, levels.T.astype(np.float32), 0.0, True)(), lossless), TWENTY)
    case.add(TWENTY, run, relative_error(run(), converted))
    for name, make in others.products("B", x, weight, RANGE):
        agree(relative_error(make(lossless=True)(), x.astype(np.float64) @ weight.T), name)
        case.add(name, make(lossless=False))
    return case


def case_c() -> Case:
    """B with programming noise once and read noise in every product."""
    x, weight = data()
    case = Case("C", "B with programming and read noise", TORCH, VECTORS * INPUTS * OUTPUTS, tolerance=0.05)
    chip = hardware(NOISE)
    matrix, tx = mapped(weight, chip), torch.from_numpy(x)
    deviation = 2**0.5 * NOISE * chip.device.g_max / chip.device.window
    limits(case, x, weight)
    noise_only, achieved = mapped(weight, hardware(NOISE, exact_adc=True)), matrix.weight().numpy()
    agree_in_noise(lambda: noise_only.read(tx), x, noise_only.weight().numpy(), deviation, OURS)
    case.add(OURS, lambda: matrix.read(tx))
    proportional = chip.replace(
        device=chip.device.replace(
            read_noise=ConductancePolynomial(
                coefficients=(0.0, NOISE), conductance_scale=1.0, sigma_scale=1.0, source="assumption", kind="assumed"
            )
        )
    )
    varied = mapped(weight, proportional)
    case.add(f"{OURS}, noise that grows with the conductance", lambda: varied.read(tx))
    agree_in_noise(twenty_lines(x, achieved, deviation, True), x, achieved, deviation, TWENTY)
    case.add(TWENTY, twenty_lines(x, achieved, deviation, False))
    for name, make in others.products("C", x, weight, RANGE):
        case.add(name, make(lossless=False))
    return case


def case_d() -> Case:
    """8 bit-serial inputs times 8-bit weights in 4 slices of 2 bits, 8-bit ADC on each: one code per level."""
    x, weight = data()
    inputs, whole = np.rint(np.abs(x) * 255).astype(np.uint8), np.rint(weight.T * 255).astype(np.int64)
    slices = np.array([np.sign(whole) * ((np.abs(whole) >> 2 * i) & 3) for i in range(4)], np.int8)
    case = Case("D", "bit-serial, bit-sliced, an ADC on each", TORCH, VECTORS * INPUTS * OUTPUTS, tolerance=1e-6)
    limits(case, x, weight)
    run = bits_in_torch(inputs, slices)
    expected = run().numpy().astype(np.float64) / 255**2
    tx, exact = torch.from_numpy(inputs.astype(np.float32) / 255), inputs.astype(np.int64) @ whole / 255**2
    lossy, lossless = (
        Chip(sliced_hardware(bits)).matrix("layer", torch.from_numpy(whole.T / 255.0)).eval() for bits in (8, 10)
    )
    case.add(OURS, lambda: lossy.read(tx), relative_error(lossy.read(tx), expected))
    agree(relative_error(lossless.read(tx), exact), f"{OURS}, lossless")
    case.add(f"{OURS}, lossless ADC", lambda: lossless.read(tx))
    case.add(TWENTY, run)
    for name, make in others.products("D", np.abs(x), weight, RANGE):
        case.add(name, make(lossless=False))
    return case


def sliced_hardware(adc_bits: int) -> Hardware:
    """As `hardware`, with cells of 2 bits, four pairs to a weight, 8 magnitude bits driven one after the other."""
    chip = hardware()
    tile = chip.tile.replace(columns=8 * ROWS, slices=4, slice_bits=2)
    return chip.replace(
        device=chip.device.replace(levels=4),
        tile=tile,
        dac=chip.dac.replace(bits=9, drive="bit_serial"),
        adc=chip.adc.replace(bits=adc_bits, range="granular"),
    )


def bits_in_torch(inputs: NDArray[np.uint8], slices: NDArray[np.int8]) -> Callable[[], torch.Tensor]:
    """Case D as one writes it in an afternoon."""
    tiles = INPUTS // ROWS
    codes, planes = torch.from_numpy(inputs).int(), torch.from_numpy(slices).float().view(4, tiles, ROWS, -1)

    def run() -> torch.Tensor:
        total = torch.zeros(len(codes), planes.shape[3])
        for k in range(8):
            bits = ((codes >> k) & 1).float().view(-1, tiles, ROWS).transpose(0, 1).contiguous()
            for i in range(4):
                total += torch.bmm(bits, planes[i]).round().clamp(-STEPS, STEPS).sum(0) * 2.0 ** (k + 2 * i)
        return total

    return run


def agree(error: float, simulator: str, tolerance: float = 1e-5) -> None:
    """Refuse a simulator that without losses is not the exact product."""
    if not error <= tolerance:
        raise DisagreementError(f"{simulator}, lossless, is off the exact product by {error:.2g}")


def agree_in_noise(
    run: Callable[[], torch.Tensor], x: Singles, weight: Singles, deviation: float, simulator: str, reads: int = 12
) -> None:
    """Mean and variance of repeated noisy reads without an ADC: each output's z-score has mean 0 and variance 1.

    Bounds at four standard errors of VECTORS * OUTPUTS * reads independent numbers, and 1e-3 for rounding.
    """
    codes = np.rint(x * STEPS).astype(np.float64) / STEPS
    exact = codes @ weight.T.astype(np.float64)
    sigma = deviation * np.linalg.norm(codes, axis=1, keepdims=True)
    z = np.stack([(run().numpy() - exact) / sigma for _ in range(reads)])
    bound = 4 * (2 / z.size) ** 0.5 + 1e-3
    if abs(z.mean()) > bound or abs(z.var() - 1) > bound:
        raise DisagreementError(
            f"{simulator}: read noise of mean {z.mean():.2g} and variance {z.var():.4g}, not 0 and 1"
        )
