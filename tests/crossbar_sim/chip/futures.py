"""What a mapped model does from now on, as bytes: two chips in the same state have the same future."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from crossbar_sim import Chip, Hardware, map_model
from crossbar_sim.hardware.wear_levelling import WearLevelling
from tests.conftest import OTHER_EFFECTS

MILO = "milo2021_128x128"
LIFETIME = {"distribution": "weibull", "shape": 1.5, "stuck_at": "hrs", "source": "assumption", "kind": "assumed"}


def _wired() -> Hardware:
    hardware = Hardware.load(MILO)
    tile = hardware.tile.replace(rows=5, columns=12, word_line_resistance=1.0, bit_line_resistance=1.0)
    device = hardware.device.replace(stuck_at_hrs=0.02, device_to_device=0.1, **OTHER_EFFECTS)
    return hardware.replace(tile=tile, device=device)


def _calibrated() -> Hardware:
    hardware = Hardware.load(MILO)
    return hardware.replace(dac=hardware.dac.replace(range="calibrated"), adc=hardware.adc.replace(range="calibrated"))


def _levelled() -> Hardware:
    hardware = Hardware.load(MILO)
    return hardware.replace(
        tile=hardware.tile.replace(rows=4), wear_levelling=WearLevelling(policy="row_swap", interval=2)
    )


def _worn() -> Hardware:
    hardware = Hardware.load(MILO)
    return hardware.replace(device=hardware.device.replace(endurance=3.0, lifetime=LIFETIME))


DESIGNS: dict[str, Callable[[], Hardware]] = {
    "milo": lambda: Hardware.load(MILO),
    "wires and every effect": _wired,
    "calibrated": _calibrated,
    "wear levelling": _levelled,
    "wearing out": _worn,
    "isaac": lambda: Hardware.load("isaac_ce"),
    "neurram": lambda: Hardware.load("neurram"),
    "hermes": lambda: Hardware.load("hermes"),
    "full chip": lambda: Hardware.load("milo2021_full_chip"),
    "ideal": lambda: Hardware.load(MILO).ideal(),
}


class Net(nn.Module):
    """A convolution, a linear layer that is used twice, and a digital head."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.conv = nn.Conv1d(2, 3, 2)
        self.mix = nn.Linear(9, 9)
        self.norm = nn.LayerNorm(9)
        self.head = nn.Linear(9, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.conv(x).flatten(1)
        logits: torch.Tensor = self.head(self.norm(self.mix(torch.tanh(self.mix(x)))))
        return logits


def with_a_past(hardware: Hardware, seed: int = 0) -> Net:
    """A mapped model that has read, learnt, waited and given a matrix back."""
    model = Net()
    chip = map_model(model, hardware, seed=seed)
    chip.matrix("spare", torch.ones(3, 4))
    chip.release("spare")
    with chip.ledger.phase("adapt/forward"):
        live(model)
    return model


def live(model: nn.Module) -> list[bytes]:
    """Read, propagate back, write, wait and read again; everything that came out."""
    chip, seen = Chip.of(model), list[bytes]()
    generator = torch.Generator().manual_seed(1)
    for step in range(2):
        x = torch.randn(3, 2, 4, generator=generator).requires_grad_()
        for training in (True, False):
            y = model.train(training)(x)
            (to_input,) = torch.autograd.grad(y.sum(), x)
            seen += [y.detach().numpy().tobytes(), to_input.numpy().tobytes()]
        with torch.no_grad(), chip.ledger.phase(f"adapt/{step}"):
            for matrix in chip.matrices.values():
                matrix.master.mul_(-0.7)
                matrix.program()
        chip.wait(1e4)
    return seen


def future(model: nn.Module) -> list[Any]:
    """What comes out of `live`, and the state of the chip after it, a matrix on released tiles included."""
    seen: list[Any] = list(live(model))
    chip = Chip.of(model)
    spare = chip.matrix("spare", torch.full((3, 4), -0.5))
    seen.append(spare.read(torch.ones(1, 4)).numpy().tobytes())
    for name, matrix in chip.matrices.items():
        cells = matrix.cells
        seen += [name, cells.key, cells.clock, cells.samples, cells.state, matrix.targets.target, matrix.bill.vectors]
        seen += [matrix.registers(transposed) for transposed in (False, True)]
    seen += [chip.ledger.rows(), chip.ledger.cells_written, chip.energy_by_tile(), chip.skipped, chip.seed]
    return [repr(_plain(one)) for one in seen]


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return tuple(_plain(one) for one in value)
    return value.tobytes() if hasattr(value, "tobytes") else value
