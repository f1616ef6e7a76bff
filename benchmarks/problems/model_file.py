"""A model described by the shapes of its layers in a TOML file."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Annotated, ClassVar

import torch
from pydantic import Field, model_validator
from torch import nn

from benchmarks.problems.shapes import ModelShape, embeddings, nested
from crossbar_sim import SpecError
from crossbar_sim.spec.spec import Spec

Count = Annotated[int, Field(ge=1, le=2**31)]
MOST_LAYERS = 10_000
"""Of a model, repeated ones counted each time."""


class LayerShape(Spec):
    """One linear layer, or `repeat` of them with their index in place of {i}.

    tokens: vectors that pass it per sample; None: as many as the model has. products: digital multiply-accumulates
    behind it per sample that multiply two computed numbers, as in attention; backward they count twice.
    """

    name: str
    inputs: Count
    outputs: Count
    bias: bool = False
    repeat: Count = 1
    tokens: Count | None = None
    products: Annotated[int, Field(ge=0, le=2**50)] = 0

    @model_validator(mode="after")
    def _names_differ(self) -> LayerShape:
        if (self.repeat > 1) != ("{i}" in self.name):
            raise SpecError(
                f"{self.name}: a repeated layer needs {{i}} in its name, and only a repeated one may have it"
            )
        return self


class ModelFile(Spec):
    """Layers in the order in which a sample passes them; neighbours with the same `repeat` take turns, as in blocks.

    targets, rank, alpha, pool_size: what adapters change, and their size, unless a method is told otherwise.
    """

    kind_of_file: ClassVar[str | None] = "model"
    name: str
    layers: Annotated[tuple[LayerShape, ...], Field(min_length=1)]
    tokens: Count = 1
    targets: tuple[str, ...] | None = None
    rank: Count = 8
    alpha: Annotated[float, Field(gt=0)] = 16.0
    pool_size: Annotated[int, Field(ge=1, le=10_000)] = 20

    @model_validator(mode="after")
    def _names_are_unique(self) -> ModelFile:
        if (count := sum(layer.repeat for layer in self.layers)) > MOST_LAYERS:
            raise SpecError(f"layers: {count} with those that repeat; a model has at most {MOST_LAYERS}")
        seen: set[str] = set()
        for name, _ in self.each_layer():
            if name in seen:
                raise SpecError(f"layers: two are called '{name}'; rename one")
            seen.add(name)
        return self

    def each_layer(self) -> Iterator[tuple[str, LayerShape]]:
        """Dotted name and shape of every layer, in order."""
        for repeat, neighbours in groupby(self.layers, key=lambda layer: layer.repeat):
            group = list(neighbours)
            for index in range(repeat):
                for layer in group:
                    yield layer.name.replace("{i}", str(index)), layer

    def shape(self) -> ModelShape:
        """The same as one of the models in `benchmarks.problems.shapes`."""
        first = self.layers[0].inputs
        return ModelShape(
            partial(Chain, self),
            partial(embeddings, first),
            self.tokens,
            self.targets,
            self.rank,
            self.alpha,
            self.pool_size,
        )


class Chain(nn.Module):
    """Layers one behind the other; what leaves one enters the next with the tokens and width that the file says."""

    def __init__(self, description: ModelFile) -> None:
        super().__init__()
        self.steps = list(description.each_layer())
        self.tokens = description.tokens
        for name, layer in self.steps:
            nested({name: (layer.outputs, layer.inputs)}, bias=layer.bias, root=self)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """x (samples, tokens, inputs of the first layer) -> the output of the last."""
        for name, layer in self.steps:
            entering = x.mean(dim=(1, 2), keepdim=True).expand(-1, layer.tokens or x.shape[1], layer.inputs)
            x = self.get_submodule(name)(entering)
            if layer.products:
                flat = x.mean(dim=(1, 2), keepdim=True)
                x = x + flat.expand(-1, 1, layer.products) @ flat.expand(-1, layer.products, 1)
        return x


def read_model(path: str | Path) -> ModelShape:
    """The model of a TOML file; SpecError says what is wrong with it."""
    return ModelFile.from_toml(path).shape()
