"""Shared fixtures: small models and chips; one compute thread, so that parallel test workers do not fight."""

from __future__ import annotations

import signal
import warnings
from collections.abc import Iterator

import numba
import pytest
import torch
from hypothesis import settings
from joblib.externals.loky import get_reusable_executor
from joblib.externals.loky.backend.context import set_start_method
from torch import nn

from benchmarks.problems.backbones import VisionTransformer
from crossbar_sim import Hardware
from peft_methods import Pool
from peft_methods.checkpoints.weights import LoRAWeights
from peft_methods.model_parts import linear_layers

torch.set_num_threads(1)
numba.set_num_threads(1)
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:  # begun in the background: what tests start must hear interrupts
    signal.signal(signal.SIGINT, signal.default_int_handler)
settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.load_profile("repeatable")


ASSUMED = {"source": "assumption", "kind": "assumed"}
OTHER_EFFECTS = {
    "telegraph_noise": {"amplitude": 0.1, **ASSUMED},
    "retention": {"law": "log_time", "mean_slope": -0.3e-6, "spread_slope": 0.2e-6, **ASSUMED},
    "disturbance": {"scheme": "half", "growth_voltage": 0.1, **ASSUMED},
}
"""Of a device: effects that no shipped hardware has."""


class TinyNet(nn.Module):
    """Two numbered blocks of three linear layers (one wide, one tall) and a digital head."""

    def __init__(self) -> None:
        super().__init__()
        block = lambda: nn.ModuleDict({"up": nn.Linear(6, 10), "down": nn.Linear(10, 6), "mix": nn.Linear(6, 6)})  # noqa: E731
        self.blocks = nn.ModuleList([block(), block()])
        self.norm = nn.LayerNorm(6)
        self.head = nn.Linear(6, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for block in self.blocks:
            x = x + block["mix"](block["down"](torch.tanh(block["up"](x))))
        logits: torch.Tensor = self.head(self.norm(x))
        return logits


def tiny_net(seed: int = 0, dtype: torch.dtype = torch.float32) -> TinyNet:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return TinyNet().to(dtype)


def tiny_transformer(seed: int = 0, dtype: torch.dtype = torch.float32) -> VisionTransformer:
    """Two blocks of width 6 over four patches; its class token and positions are not zero."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = VisionTransformer(image_size=4, patch_size=2, width=6, depth=2, heads=2, mlp_width=8, classes=3)
        nn.init.normal_(model.class_token, std=0.5)
        nn.init.normal_(model.positions, std=0.5)
    return model.to(dtype)


def tiny_pool(model: nn.Module, size: int = 3, rank: int = 2, seed: int = 1) -> Pool:
    generator = torch.Generator().manual_seed(seed)

    def draw(rows: int, columns: int) -> torch.Tensor:
        return 0.3 * torch.randn(rows, columns, generator=generator)

    layers = linear_layers(model, None)
    return Pool(
        tuple(
            LoRAWeights(
                name=f"module{index}",
                rank=rank,
                alpha=2.0 * rank,
                a={name: draw(rank, layer.weight.shape[1]) for name, layer in layers.items()},
                b={name: draw(layer.weight.shape[0], rank) for name, layer in layers.items()},
            )
            for index in range(size)
        )
    )


@pytest.fixture
def forked_workers() -> Iterator[None]:
    """Workers begin as copies of this process, and not with twenty seconds of imports."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # loky and, where threads are left, Python advise against it
        get_reusable_executor().shutdown()
        set_start_method("fork", force=True)
        yield
        get_reusable_executor().shutdown()
        set_start_method(None, force=True)


@pytest.fixture(scope="session")
def milo() -> Hardware:
    return Hardware.load("milo2021_128x128")


@pytest.fixture(scope="session")
def milo_with_wires(milo: Hardware) -> Hardware:
    """Every non-ideality is on."""
    return milo.replace(tile=milo.tile.replace(word_line_resistance=1.0, bit_line_resistance=1.0))


@pytest.fixture(scope="session")
def ideal(milo: Hardware) -> Hardware:
    return milo.ideal()
