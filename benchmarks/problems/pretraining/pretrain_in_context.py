"""Train the in-context transformer that the package ships (`xbar pretrain in-context`).

Every step draws new prompts, so nothing is seen twice and pre-training minimises the expected squared error, whose
minimiser is the posterior mean (Zhang, Zhang, Yang and Wang, AISTATS 2025, section 5).
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import nn

from benchmarks.problems.pretraining.in_context import (
    LinearPrompts,
    RegressionTransformer,
    excess_error,
    save_regression_transformer,
)


@dataclass(frozen=True)
class InContextRecipe:
    """Everything that decides the trained weights."""

    steps: int = 6000
    batch_size: int = 64
    learning_rate: float = 2e-3
    warm_up: float = 0.05
    width: int = 64
    depth: int = 3
    heads: int = 4
    mlp_width: int = 128
    dimension: int = 4
    examples: int = 40
    noise_variance: float = 0.25
    prior_variance: float = 1.0
    seed: int = 0

    @property
    def prompts(self) -> LinearPrompts:
        """The distribution of prompts."""
        return LinearPrompts(self.dimension, self.examples, self.noise_variance, self.prior_variance)


def pretrain(recipe: InContextRecipe = InContextRecipe(), log: bool = False) -> RegressionTransformer:
    """Train a transformer on fresh prompts; the same recipe gives the same weights."""
    generator = torch.Generator().manual_seed(recipe.seed)
    with torch.random.fork_rng(devices=[]):  # torch draws starting weights that `initialise` replaces
        model = RegressionTransformer(
            recipe.dimension, recipe.examples, recipe.width, recipe.depth, recipe.heads, recipe.mlp_width
        )
    initialise(model, generator)
    optimizer = torch.optim.AdamW(model.parameters(), lr=recipe.learning_rate, weight_decay=0.0)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, recipe.learning_rate, total_steps=recipe.steps, pct_start=recipe.warm_up
    )
    for step in range(1, recipe.steps + 1):
        x, y, _ = recipe.prompts.draw(recipe.batch_size, generator)
        loss = (model(x, y) - y).square().mean()
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        if log and step % 500 == 0:
            print(f"step {step}: mean squared error {loss.item():.3f}", flush=True)
    return model.eval()


def initialise(model: RegressionTransformer, generator: torch.Generator) -> None:
    """Draw all weights from `generator`: Xavier-uniform products, N(0, 0.02^2) position table."""
    for module in model.modules():
        if isinstance(module, nn.Linear):
            nn.init.xavier_uniform_(module.weight, generator=generator)
            nn.init.zeros_(module.bias)
    nn.init.normal_(model.positions, std=0.02, generator=generator)


def write(path: Path, recipe: InContextRecipe, log: bool = False) -> dict[str, float]:
    """Train, write the safetensors file, and return its excess error over the exact one, by examples."""
    model = pretrain(recipe, log)
    ratio = excess_error(model, recipe.prompts, 4000, recipe.seed + 1).ratio
    shown = sorted({*range(0, recipe.examples, max(1, recipe.examples // 10)), recipe.examples - 1})
    reached = {str(t): round(float(ratio[t]), 3) for t in shown}
    facts = {
        "excess_error_over_bayes": json.dumps(reached),
        "recipe": json.dumps(asdict(recipe), sort_keys=True),
        "data": "Gaussian linear regression, fresh prompts every step",
    }
    save_regression_transformer(path, model, facts)
    return reached
