"""Cases E, model, program and step: wires, a whole encoder, programming, and a step of fine-tuning."""

from __future__ import annotations

import copy
import importlib
import logging
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import nn

from benchmarks.peers.case import OURS, Case, relative_error
from benchmarks.peers.others import aihwkit_models, aihwkit_programming, installed
from benchmarks.peers.products import INPUTS, OUTPUTS, RANGE, VECTORS, hardware
from benchmarks.problems.backbones import VisionTransformer, load_backbone
from benchmarks.problems.tasks import few_shot, get_task
from crossbar_sim import Hardware, map_model
from crossbar_sim.chip.simulated import SimulatedMatrix
from crossbar_sim.ledger.ledger import Ledger
from crossbar_sim.wires.exact import effective_conductance
from peft_methods import LoRA
from peft_methods.training.loop import fine_tune

TORCH = "torch float32, digital"


def case_e() -> Case:
    """128 x 128 cells of 1 to 100 uS, 1 ohm per segment: 16 reads, solved each time or by one effective matrix."""
    generator = np.random.default_rng(0)
    cells, volts = generator.uniform(1e-6, 1e-4, (128, 128)), generator.uniform(0, 0.2, (16, 128))
    seen = effective_conductance(cells, word_line_resistance=1.0, bit_line_resistance=1.0)
    case = Case("E", "wires of 1 ohm per segment, 16 reads of one tile", f"{OURS}, per read", tolerance=1e-9)
    case.add(f"{OURS}, per read", lambda: volts @ seen.T)
    case.add(
        f"{OURS}, once per programming",
        lambda: effective_conductance(cells, word_line_resistance=1.0, bit_line_resistance=1.0),
    )
    if installed("badcrossbar"):
        badcrossbar: Any = importlib.import_module("badcrossbar")
        logging.getLogger().setLevel(logging.WARNING)  # it reports every solution

        def solve() -> Any:
            return badcrossbar.compute(
                volts.T, 1 / cells, r_i_word_line=1.0, r_i_bit_line=1.0, node_voltages=False
            ).currents.output

        case.add("badcrossbar, per read", solve, relative_error(volts @ seen.T, np.asarray(solve())))
    return case


def encoder() -> nn.Module:
    """6 layers, width 384, MLP 1536, 65 tokens: the encoder of a small vision transformer."""
    torch.manual_seed(0)
    return VisionTransformer(
        image_size=32, patch_size=4, width=384, depth=6, heads=6, mlp_width=1536, classes=10
    ).eval()


def case_model() -> Case:
    """One forward pass of 8 images through the encoder, noise-free 8-bit tiles, against the digital model."""
    with torch.random.fork_rng():
        digital = encoder()
        images = torch.rand(8, 32, 32)
    analog, noisy = copy.deepcopy(digital), copy.deepcopy(digital)
    map_model(analog, hardware())
    map_model(noisy, hardware(0.01))
    case = Case("model", "6-layer encoder, width 384, 65 tokens, batch 8", TORCH, tolerance=0.25)

    def forward(model: nn.Module) -> Callable[[], torch.Tensor]:
        @torch.no_grad()
        def run() -> torch.Tensor:
            result: torch.Tensor = model(images)
            return result

        return run

    exact = copy.deepcopy(digital)
    map_model(exact, hardware().without("levels", "dac", "adc"))
    expected = forward(digital)().double().numpy()
    lossless = Case("model", "lossless", TORCH)
    lossless.add(OURS, forward(exact), relative_error(forward(exact)(), expected))
    case.add(TORCH, forward(digital))
    case.add(OURS, forward(analog), relative_error(forward(analog)(), expected))
    case.add(f"{OURS}, noisy cells", forward(noisy))
    for name, run in aihwkit_models(digital, images, RANGE) if installed("aihwkit") else ():
        case.add(name, run)
    return case


def case_program() -> Case:
    """768 x 768 weights on differential pairs: spread, levels, energy, wear, everything billed."""
    generator = np.random.default_rng(0)
    weights = [torch.from_numpy(generator.standard_normal((OUTPUTS, INPUTS)).astype(np.float32)) for _ in range(2)]
    limit = "numpy, one normal number per cell"
    case = Case("program", "program 768 x 768 weights on differential pairs", limit)
    case.add(limit, lambda: generator.standard_normal((2, OUTPUTS, INPUTS), dtype=np.float32))

    def rewrite(chip: Hardware) -> Callable[[], object]:
        scale = np.full(OUTPUTS, 5.0)
        matrix = SimulatedMatrix(chip, Ledger(), 0, "layer", weights[0], scale)
        turn = [0]

        def run() -> object:
            turn[0] += 1
            with torch.no_grad():
                matrix.master.copy_(weights[turn[0] % 2])
            return matrix.program()

        return run

    noisy = hardware(0.01)
    device = noisy.device
    milo = Hardware.load("milo2021_128x128")
    case.add(f"{OURS}, write-verify", rewrite(milo))
    case.add(f"{OURS}, open loop", rewrite(milo.replace(device=milo.device.replace(programming="open_loop"))))
    case.add(f"{OURS}, 128 levels", rewrite(noisy.replace(device=device)))
    if installed("aihwkit"):
        case.add("aihwkit, a normal number per cell", aihwkit_programming(weights[0]))
    return case


def case_step() -> Case:
    """25 steps of LoRA on the shipped vision transformer: on tiles with reprogramming and billing, and digital."""
    case = Case("step", "25 steps of LoRA, shipped vision transformer, batch 10", TORCH)
    data = few_shot(get_task("fliplr"), 5, 0)
    method = LoRA(rank=4, steps=25)

    def run(on_tiles: bool) -> Callable[[], object]:
        model = copy.deepcopy(load_backbone("digits_vit"))
        chip = map_model(model, Hardware.load("milo2021_128x128"), seed=0) if on_tiles else None
        adapter = method.attach(model, chip)
        return lambda: fine_tune(model, adapter, data.train.tensor, data.train.labels)

    case.add(TORCH, run(False))
    case.add(f"{OURS}, tiles", run(True))
    return case


def backward_case() -> Case:
    """256 vectors forward, and back through the transposed noisy tiles."""
    generator = torch.Generator().manual_seed(0)
    weight, x = torch.randn(OUTPUTS, INPUTS, generator=generator), torch.randn(VECTORS, INPUTS, generator=generator)
    matrix = SimulatedMatrix(Hardware.load("milo2021_128x128"), Ledger(), 0, "layer", weight)
    forward = f"{OURS}, forward"
    case = Case("backward", "one noisy product, forward and transposed", forward, VECTORS * INPUTS * OUTPUTS)
    case.add(forward, lambda: matrix.read(x))
    case.add(f"{OURS}, transposed", lambda: matrix.read(x, transposed=True))
    return case
