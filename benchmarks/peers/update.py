"""Case update: a pulsed outer-product update of a 384 x 384 layer by a batch of 32, on cells as aihwkit's ReRamES."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from benchmarks.peers import others
from benchmarks.peers.case import OURS, Case, Run
from crossbar_sim import DeviceModel, Hardware
from crossbar_sim.cells.outer_product import pulse_outer_product, update_scheme
from crossbar_sim.cells.pulse_trains import draw
from crossbar_sim.cells.written import Written
from crossbar_sim.chip.simulated import SimulatedMatrix
from crossbar_sim.ledger.ledger import Ledger

SIZE, BATCH, RATE = 384, 32, 0.01
ERROR = 0.01  # deviation of the output gradients where the update is timed alone
TORCH = "torch float32, a whole step of SGD"


def data() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Inputs, goals and output gradients (batch, size), all normal."""
    generator = torch.Generator().manual_seed(0)
    x, goal, error = (torch.randn(BATCH, SIZE, generator=generator) for _ in range(3))
    return x, goal, ERROR * error


def layer() -> SimulatedMatrix:
    """Weights of a new linear layer on one tile, one cell each against a reference; cells hold weights up to 1."""
    chip = Hardware.load("milo2021_128x128")
    tile = chip.tile.replace(rows=SIZE, columns=SIZE + 1, mapping="offset")
    weight = (2 * torch.rand(SIZE, SIZE, generator=torch.Generator().manual_seed(1)) - 1) / SIZE**0.5
    hardware = chip.replace(device=DeviceModel.load("gong2018_es"), tile=tile)
    return SimulatedMatrix(hardware, Ledger(), 0, "layer", weight, np.ones(SIZE)).eval()


def case_update() -> Case:
    """The update alone and with the forward pass, beside torch's SGD, the obvious numpy, and aihwkit if installed."""
    x, goal, error = data()
    case = Case("update", f"pulsed update, {SIZE} x {SIZE} weights, batch {BATCH}", TORCH)
    case.add(TORCH, digital_step(x, goal))
    case.add("numpy, outer product and one normal number per cell and sample", outer_products(x, error))
    cells, whole, trained = layer(), layer(), layer()
    case.add(
        f"{OURS}, cells and their wear{pulses(cells, update_cells(cells, x, error)())}", update_cells(cells, x, error)
    )
    case.add(f"{OURS}, billed and ready to read", lambda: whole.update(x, error, RATE))

    def step() -> Written:
        y = trained.read(x)
        return trained.update(x, (y - goal) * (2 / y.numel()), RATE)

    case.add(f"{OURS}, a whole step{pulses(trained, step())}", step)
    if others.installed("aihwkit"):
        for name, run in others.aihwkit_updates(x, goal, error, RATE):
            case.add(f"aihwkit, {name}", run)
    return case


def pulses(matrix: SimulatedMatrix, result: Written) -> str:
    """How many pulses there were, which rule the time."""
    return f" ({result.pulses.sum() / (BATCH * matrix.master.numel()):.2g} pulses per cell and sample)"


def update_cells(matrix: SimulatedMatrix, x: torch.Tensor, error: torch.Tensor) -> Run:
    """Trains and pulses, energy and wear per cell; no bill, no refreshed reads."""
    scheme, crossbar = update_scheme(matrix.hardware), matrix.cells
    signal, gradient = x.double().numpy(), error.double().numpy()[None] / matrix.targets.limit[:, None]

    def run() -> Written:
        trains = draw(signal, gradient, RATE / scheme.share, 31, crossbar.key, crossbar.samples)
        return pulse_outer_product(
            crossbar, trains, scheme.cells, matrix.targets.rows.row_of, matrix.layout.column_of, matrix.layout.spec.rows
        )

    return run


def digital_step(x: torch.Tensor, goal: torch.Tensor) -> Run:
    """Forward, backward and update of a linear layer."""
    linear = nn.Linear(SIZE, SIZE, bias=False)
    optimizer = torch.optim.SGD(linear.parameters(), lr=RATE)

    def run() -> None:
        optimizer.zero_grad()
        nn.functional.mse_loss(linear(x), goal).backward()
        optimizer.step()

    return run


def outer_products(x: torch.Tensor, error: torch.Tensor) -> Run:
    """What one writes in an afternoon: sample by sample, a noisy outer product, clipped."""
    generator = np.random.default_rng(0)
    signal, gradient = x.numpy(), error.numpy()
    weight = np.zeros((SIZE, SIZE), np.float32)

    def run() -> None:
        for one, d in zip(signal, gradient, strict=True):
            change = np.outer(d, one) * np.float32(-RATE)
            change *= 1 + generator.standard_normal(change.shape, dtype=np.float32)
            np.clip(weight + change, -1, 1, out=weight)

    return run
