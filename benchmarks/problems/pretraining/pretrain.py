"""Train what the package ships: the backbone, and the LoRA modules of its pool (`xbar pretrain`).

The backbone's training is aware of the chip. At every step the weights of the transformer blocks are read through
Gaussian noise whose standard deviation is a fraction of the largest weight of their output row, and rows are clipped
to a multiple of their root-mean-square weight, because a chip scales a row by its largest weight and outliers would
spend the range (noise injection and clipping as in Joshi et al., Nat. Commun. 2020).
"""

from __future__ import annotations

import copy
import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional
from tqdm import tqdm

from benchmarks.problems.backbones import VisionTransformer, load_backbone, save_backbone
from benchmarks.problems.tasks import TASKS, DigitTask, base_data, source_data
from crossbar_sim.runtime.files import write_json
from peft_methods import LoRA, accuracy, fine_tune
from peft_methods.checkpoints.lora import save_lora
from peft_methods.checkpoints.weights import LoRAWeights


@dataclass(frozen=True)
class BackboneRecipe:
    """Everything that decides the trained weights."""

    epochs: int = 100
    batch_size: int = 50
    learning_rate: float = 3e-3
    weight_decay: float = 0.05
    weight_noise: float = 0.03
    """Standard deviation of injected noise over the largest absolute weight of the output row."""
    clip_spreads: float = 3.0
    """Rows are clipped to this many of their root-mean-square weights after every step."""
    seed: int = 0


def pretrain_backbone(recipe: BackboneRecipe = BackboneRecipe()) -> VisionTransformer:
    """Train a backbone on the base split; the same recipe gives the same weights."""
    generator = torch.Generator().manual_seed(recipe.seed)
    model = VisionTransformer()
    initialise(model, generator)
    data = base_data()
    steps = recipe.epochs * -(-len(data.train.labels) // recipe.batch_size)
    optimizer = torch.optim.AdamW(model.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, recipe.learning_rate, total_steps=steps, pct_start=0.1)
    for _ in tqdm(range(recipe.epochs), desc="backbone", unit="epoch"):
        order = torch.randperm(len(data.train.labels), generator=generator)
        for batch in torch.split(order, recipe.batch_size):
            images = data.train.tensor[batch]
            noisy = noisy_block_weights(model, recipe.weight_noise, generator)
            loss = functional.cross_entropy(functional_call(model, noisy, (images,)), data.train.labels[batch])
            optimizer.zero_grad()
            torch.autograd.backward(loss)
            optimizer.step()
            schedule.step()
            clip_block_weights(model, recipe.clip_spreads)
    return model.eval()


def initialise(model: VisionTransformer, generator: torch.Generator) -> None:
    """Draw all weights from `generator`: Xavier-uniform products, N(0, 0.02^2) position table."""
    for module in model.modules():
        if isinstance(module, nn.Linear):
            nn.init.xavier_uniform_(module.weight, generator=generator)
            nn.init.zeros_(module.bias)
    nn.init.normal_(model.positions, std=0.02, generator=generator)


def block_linears(model: VisionTransformer) -> dict[str, nn.Linear]:
    """The linear layers of the transformer blocks by dotted name: what a chip holds on tiles."""
    return {
        name: module
        for name, module in model.named_modules()
        if name.startswith("blocks.") and isinstance(module, nn.Linear)
    }


def noisy_block_weights(model: VisionTransformer, weight_noise: float, generator: torch.Generator) -> dict[str, Tensor]:
    """W + weight_noise * max_j |W_oj| * N(0, 1) for every linear layer of the blocks."""
    noisy = {}
    for name, linear in block_linears(model).items():
        largest = linear.weight.detach().abs().amax(dim=1, keepdim=True)
        drawn = torch.randn(linear.weight.shape, generator=generator)
        noisy[f"{name}.weight"] = linear.weight + weight_noise * largest * drawn
    return noisy


@torch.no_grad()
def clip_block_weights(model: VisionTransformer, clip_spreads: float) -> None:
    """Clip each output row of the blocks to `clip_spreads` of its root-mean-square weight."""
    for linear in block_linears(model).values():
        bound = clip_spreads * linear.weight.square().mean(dim=1, keepdim=True).sqrt()
        linear.weight.copy_(linear.weight.clamp(-bound, bound))


def write_backbone(path: Path, recipe: BackboneRecipe) -> float:
    """Train, write the safetensors file and return the accuracy on the test split."""
    model = pretrain_backbone(recipe)
    data = base_data()
    reached = accuracy(model, data.test.tensor, data.test.labels)
    facts = {
        "test_accuracy": f"{reached:.4f}",
        "recipe": json.dumps(asdict(recipe), sort_keys=True),
        "data": "scikit-learn digits, base split of benchmarks.problems.tasks",
    }
    save_backbone(path, model, facts)
    return reached


@dataclass(frozen=True)
class PoolRecipe:
    """How every module of the pool is trained: plain digital LoRA on all linear layers of the blocks.

    One seed for all modules gives them the same starting A, which keeps the cross products B_i A_j of a mixture
    meaningful.
    """

    method: LoRA = field(default_factory=lambda: LoRA(learning_rate=5e-3, steps=150, batch_size=50, placement="sram"))
    seed: int = 0


def train_module(task: DigitTask, backbone: nn.Module, recipe: PoolRecipe) -> tuple[LoRAWeights, float]:
    """The LoRA module of one source task and the test accuracy it reaches there."""
    data, model = source_data(task), copy.deepcopy(backbone)
    adapter = recipe.method.attach(model, seed=recipe.seed)
    fine_tune(model, adapter, data.train.tensor, data.train.labels, seed=recipe.seed)
    return adapter.export(task.name), accuracy(model, data.test.tensor, data.test.labels)


def write_pool(folder: Path, recipe: PoolRecipe, backbone_name: str) -> dict[str, float]:
    """Train one module per source task, write each in PEFT's format and return their test accuracies."""
    backbone, reached = load_backbone(backbone_name), {}
    for task in tqdm([task for task in TASKS.values() if task.kind == "source"], desc="pool", unit="module"):
        weights, reached[task.name] = train_module(task, backbone, recipe)
        save_lora(folder / task.name, weights, backbone_name)
    facts = {"recipe": recipe.method.model_dump(mode="json"), "seed": recipe.seed, "test_accuracy": reached}
    write_json(folder / "facts.json", facts)
    return reached
