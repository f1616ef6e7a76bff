"""In-context regression: a small causal transformer reads examples (x, y) and predicts the next y.

The prompts are Gaussian linear regression, y = z . x + noise, for which the best predictor is known in closed form
(`peft_methods.in_context.posterior_mean`). A prompt of T examples is T + 1 tokens; token t holds the query x_t and the
example before it, (x_{t-1}, y_{t-1}), so the prediction at token t may use the t examples before it and no other.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from benchmarks.backbones import BACKBONE_FOLDER, AssetError, Attention, Block

IN_CONTEXT_FOLDER = BACKBONE_FOLDER / "in_context"  # a folder of its own: these are no image classifiers


@dataclass(frozen=True)
class LinearPrompts:
    """y = z . x + e with x ~ N(0, I), z ~ N(0, prior_variance I), e ~ N(0, noise_variance), all drawn per prompt."""

    dimension: int = 4
    examples: int = 40
    noise_variance: float = 0.25
    prior_variance: float = 1.0

    def draw(self, prompts: int, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """x (prompts, examples, dimension), y (prompts, examples) and its noise-free part (prompts, examples)."""
        x = torch.randn(prompts, self.examples, self.dimension, generator=generator)
        z = math.sqrt(self.prior_variance) * torch.randn(prompts, self.dimension, 1, generator=generator)
        clean = (x @ z).squeeze(-1)
        return x, clean + math.sqrt(self.noise_variance) * torch.randn(clean.shape, generator=generator), clean


class CausalAttention(Attention):
    """Self-attention in which a token sees itself and the tokens before it."""

    def forward(self, tokens: Tensor) -> Tensor:
        """Tokens of shape (n, tokens, width) in and out."""
        query, key, value = (
            projection(tokens).unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for projection in (self.query, self.key, self.value)
        )
        scores = query @ key.transpose(2, 3) / math.sqrt(query.shape[-1])
        later = torch.ones(scores.shape[-2:], dtype=torch.bool, device=tokens.device).triu(1)
        mixed = scores.masked_fill(later, -math.inf).softmax(-1) @ value
        attended: Tensor = self.output(mixed.transpose(1, 2).flatten(2))
        return attended


class CausalBlock(Block):
    """A pre-norm transformer block with causal attention."""

    def __init__(self, width: int, heads: int, mlp_width: int) -> None:
        super().__init__(width, heads, mlp_width)
        self.attention = CausalAttention(width, heads)


class RegressionTransformer(nn.Module):
    """Predicts y_t from x_t and the examples before it, for every t of a prompt at once.

    Linear layers: ``embed``, ``blocks.{i}.attention.query|key|value|output``, ``blocks.{i}.mlp.up|down``, ``head``.
    """

    def __init__(
        self, dimension: int = 4, examples: int = 40, width: int = 64, depth: int = 3, heads: int = 4,
        mlp_width: int = 128,
    ) -> None:  # fmt: skip
        super().__init__()
        self.constructor_arguments = {
            "dimension": dimension, "examples": examples, "width": width, "depth": depth, "heads": heads,
            "mlp_width": mlp_width,
        }  # fmt: skip
        self.embed = nn.Linear(2 * dimension + 1, width)
        self.positions = nn.Parameter(torch.zeros(1, examples, width))
        self.blocks = nn.ModuleList(CausalBlock(width, heads, mlp_width) for _ in range(depth))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, 1)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """x (n, examples, dimension), y (n, examples) -> predictions (n, examples); y_t enters only those after t."""
        if x.shape[1] > self.positions.shape[1]:
            raise ValueError(f"a prompt of {x.shape[1]} examples; this model reads at most {self.positions.shape[1]}")
        before = nn.functional.pad(torch.cat([x, y[..., None]], dim=-1), (0, 0, 1, 0))[:, :-1]
        tokens = self.embed(torch.cat([x, before], dim=-1)) + self.positions[:, : x.shape[1]]
        for block in self.blocks:
            tokens = block(tokens)
        predicted: Tensor = self.head(self.norm(tokens)).squeeze(-1)
        return predicted


def save_regression_transformer(path: Path, model: RegressionTransformer, facts: Mapping[str, str]) -> None:
    """Write the weights as safetensors; the header carries the constructor arguments and `facts`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    header = {**facts, "format": "pt", "constructor": json.dumps(model.constructor_arguments, sort_keys=True)}
    temporary = path.with_suffix(".tmp")
    try:
        temporary.write_bytes(save({name: value.contiguous() for name, value in model.state_dict().items()}, header))
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def load_regression_transformer(
    name: str = "linear_regression", folder: Path = IN_CONTEXT_FOLDER
) -> tuple[RegressionTransformer, dict[str, str]]:
    """The shipped transformer (evaluation mode, float32) and its header. AssetError if it is not whole."""
    path = folder / f"{name}.safetensors"
    advice = "`python -m benchmarks.pretrain_in_context` writes 'linear_regression'"
    if not path.is_file():
        raise AssetError(f"no in-context transformer named {name!r}: {path} does not exist; {advice}")
    try:
        with safe_open(path, framework="pt") as file:
            facts = dict(file.metadata() or {})
            model = RegressionTransformer(**json.loads(facts["constructor"]))
            model.load_state_dict({key: file.get_tensor(key) for key in file.keys()})  # noqa: SIM118
    except (SafetensorError, KeyError, TypeError, ValueError, RuntimeError) as error:
        raise AssetError(f"{path} is not a readable in-context transformer: {error}; {advice}") from error
    return model.eval(), facts
