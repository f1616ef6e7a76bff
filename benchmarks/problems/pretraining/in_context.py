"""In-context regression: a small causal transformer reads examples (x, y) and predicts the next y.

The prompts are Gaussian linear regression, y = z . x + noise, for which the best predictor is known in closed form
(`peft_methods.in_context.posterior_mean`). A prompt of T examples is T + 1 tokens; token t holds the query x_t and the
example before it, (x_{t-1}, y_{t-1}), so the prediction at token t may use the t examples before it and no other.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from benchmarks.problems.backbones import BACKBONE_FOLDER, Attention, BackboneError, Block
from benchmarks.problems.weight_files import AssetError, constructor_of, read_header, read_weights, save_weights
from crossbar_sim import Hardware
from crossbar_sim.chip.chip import Chip
from peft_methods.in_context import attn_dagger, posterior_mean

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

    Linear layers: `embed`, `blocks.{i}.attention.query|key|value|output`, `blocks.{i}.mlp.up|down`, `head`.
    """

    def __init__(
        self,
        dimension: int = 4,
        examples: int = 40,
        width: int = 64,
        depth: int = 3,
        heads: int = 4,
        mlp_width: int = 128,
    ) -> None:
        super().__init__()
        self.constructor_arguments = {
            "dimension": dimension,
            "examples": examples,
            "width": width,
            "depth": depth,
            "heads": heads,
            "mlp_width": mlp_width,
        }
        self.embed = nn.Linear(2 * dimension + 1, width)
        self.positions = nn.Parameter(torch.zeros(1, examples, width))
        self.blocks = nn.ModuleList(CausalBlock(width, heads, mlp_width) for _ in range(depth))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, 1)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """x (n, examples, dimension), y (n, examples) -> predictions (n, examples); y_t enters only those after t."""
        if x.shape[1] > self.positions.shape[1]:
            raise BackboneError(
                f"a prompt of {x.shape[1]} examples; this model reads at most {self.positions.shape[1]}"
            )
        before = nn.functional.pad(torch.cat([x, y[..., None]], dim=-1), (0, 0, 1, 0))[:, :-1]
        tokens = self.embed(torch.cat([x, before], dim=-1)) + self.positions[:, : x.shape[1]]
        for block in self.blocks:
            tokens = block(tokens)
        predicted: Tensor = self.head(self.norm(tokens)).squeeze(-1)
        return predicted


def save_regression_transformer(path: Path, model: RegressionTransformer, facts: Mapping[str, str]) -> None:
    """Write the weights as safetensors; the header carries the constructor arguments and `facts`."""
    save_weights(path, model, model.constructor_arguments, facts)


def load_regression_transformer(
    name: str = "linear_regression", folder: Path = IN_CONTEXT_FOLDER
) -> tuple[RegressionTransformer, dict[str, str]]:
    """The shipped transformer (evaluation mode, float32) and its header. AssetError if it is not whole."""
    path = folder / f"{name}.safetensors"
    advice = "`xbar pretrain in-context` writes 'linear_regression'"
    if not path.is_file():
        raise AssetError(f"no in-context transformer named '{name}': {path} does not exist; {advice}")
    try:
        facts = read_header(path)
        with torch.random.fork_rng(devices=[]):  # torch draws starting weights that are replaced at once
            model = RegressionTransformer(**constructor_of(facts))
        read_weights(path, model)
    except (AssetError, TypeError, ValueError, RuntimeError) as error:
        raise AssetError(f"{path} is not a readable in-context transformer: {error}; {advice}") from error
    return model.eval(), facts


@dataclass(frozen=True)
class ExcessError:
    """Mean squared distance to the noise-free value after 0, 1, ... examples, (examples,), of a model and of the exact
    posterior mean on the same prompts."""

    model: Tensor
    bayes: Tensor

    @property
    def ratio(self) -> Tensor:
        """1 is the best that any predictor reaches."""
        return self.model / self.bayes


@torch.no_grad()
def excess_error(model: RegressionTransformer, prompts: LinearPrompts, count: int, seed: int) -> ExcessError:
    """Both errors on `count` fresh prompts; a model on tiles reads them through its tiles."""
    x, y, clean = prompts.draw(count, torch.Generator().manual_seed(seed))
    predicted = torch.cat([model(*part) for part in zip(x.split(250), y.split(250), strict=True)])
    best, _ = posterior_mean(x.double(), y.double(), prompts.noise_variance, prompts.prior_variance)
    return ExcessError((predicted - clean).square().mean(0).double(), (best - clean).square().mean(0))


# the noise floor of exact attention on noisy keys


@dataclass(frozen=True)
class NoiseFloor:
    """Mean squared distance of attn_dagger to the noise-free value after `lengths` examples, per name of a condition.

    standard_error: of each mean, over prompts.
    """

    lengths: tuple[int, ...]
    errors: dict[str, tuple[float, ...]]
    standard_error: dict[str, tuple[float, ...]]


def noise_floor(
    prompts: LinearPrompts,
    lengths: tuple[int, ...],
    count: int,
    seed: int,
    *,
    distortion: tuple[float, ...] = (0.1,),
    read_noise: tuple[float, ...] = (0.05, 0.1),
) -> NoiseFloor:
    """Exact attention on keys that a device distorts in two ways, both relative to the keys' own spread.

    distortion: one fixed linear map (I + distortion E / sqrt(d)) per prompt, the same for examples and query, as a
    programming error leaves it: the task is still linear in the keys, so the error falls on as d s2 / t. read_noise:
    fresh Gaussian noise on every key and on the query: the error stops at about d lam read_noise^2, because the query
    itself is read with noise (and noise in the examples' keys shrinks the estimate: errors in variables).
    """
    generator = torch.Generator().manual_seed(seed)
    names = ["ideal", *(f"fixed distortion {s:.0%}" for s in distortion), *(f"read noise {s:.0%}" for s in read_noise)]
    squares: dict[str, list[Tensor]] = {name: [] for name in names}
    d, ridge = prompts.dimension, prompts.noise_variance / prompts.prior_variance
    for length in lengths:
        one = LinearPrompts(d, length + 1, prompts.noise_variance, prompts.prior_variance)
        x, y, clean = (part.double() for part in one.draw(count, generator))
        seen = [x]
        for size in distortion:
            error = torch.randn(count, d, d, generator=generator, dtype=x.dtype) / math.sqrt(d)
            seen.append(x @ (torch.eye(d, dtype=x.dtype) + size * error))
        seen += [x + size * torch.randn(x.shape, generator=generator, dtype=x.dtype) for size in read_noise]
        for name, keys in zip(names, seen, strict=True):
            predicted = attn_dagger(keys[:, -1:], keys[:, :-1], y[:, :-1, None], ridge)[:, 0, 0]
            squares[name].append((predicted - clean[:, -1]).square())
    return _summarise(lengths, squares)


def noise_floor_on_tiles(
    prompts: LinearPrompts,
    hardware: Mapping[str, Hardware],
    lengths: tuple[int, ...],
    count: int,
    seed: int,
    key_width: int = 16,
) -> NoiseFloor:
    """The same through tiles: keys are W x with a random W (key_width, d) on a chip of each design.

    Examples and query are read through the same cells: what programming got wrong stays the same, read noise does not.
    """
    squares: dict[str, list[Tensor]] = {name: [] for name in hardware}
    d, ridge = prompts.dimension, prompts.noise_variance / prompts.prior_variance
    for index, (name, design) in enumerate(hardware.items()):
        generator = torch.Generator().manual_seed(seed)  # the same prompts for every design
        weight = torch.linalg.qr(torch.randn(key_width, d, generator=generator))[0]
        matrix = Chip(design, seed + index).matrix("key", weight)
        for length in lengths:
            one = LinearPrompts(d, length + 1, prompts.noise_variance, prompts.prior_variance)
            x, y, clean = one.draw(count, generator)
            keys = matrix(x).double()
            predicted = attn_dagger(keys[:, -1:], keys[:, :-1], y.double()[:, :-1, None], ridge)[:, 0, 0]
            squares[name].append((predicted - clean[:, -1]).square())
    return _summarise(lengths, squares)


def _summarise(lengths: tuple[int, ...], squares: Mapping[str, list[Tensor]]) -> NoiseFloor:
    means = {name: tuple(float(part.mean()) for part in parts) for name, parts in squares.items()}
    errors = {
        name: tuple(float(part.std()) / math.sqrt(len(part)) for part in parts) for name, parts in squares.items()
    }
    return NoiseFloor(lengths, means, errors)
