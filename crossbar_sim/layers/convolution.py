"""MappedConvolution: nn.Conv1d and nn.Conv2d, each patch of the input one read of the kernels."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional

from crossbar_sim.chip.matrix import Matrix
from crossbar_sim.layers.base import MappedLayer, Program
from crossbar_sim.spec.errors import MappingError

Convolution = nn.Conv1d | nn.Conv2d


@dataclass(frozen=True)
class Geometry:
    """Where the patches of a convolution lie; of one dimension, as of images of one row. edges: what is added before
    and after, last dimension first, as functional.pad wants it."""

    dimensions: int
    kernel: tuple[int, int]
    strides: tuple[int, int]
    dilations: tuple[int, int]
    edges: list[int]
    edge_mode: str

    @classmethod
    def of(cls, layer: Convolution) -> Geometry:
        """That of a layer."""
        kernel, strides, dilations = map(_two, (layer.kernel_size, layer.stride, layer.dilation))
        mode = "constant" if layer.padding_mode == "zeros" else layer.padding_mode
        return cls(len(layer.kernel_size), kernel, strides, dilations, _edges(layer), mode)

    def patches(self, x: torch.Tensor) -> tuple[torch.Tensor, list[int]]:
        """x (n, channels, [height,] width) -> the patches (n, positions, channels x kernel area) that the kernels meet,
        and the size of the output's space."""
        x = functional.pad(x, self.edges, self.edge_mode)
        if self.dimensions == 1:
            x = x[:, :, None]
        space = [
            (size - dilation * (kernel - 1) - 1) // stride + 1
            for size, dilation, kernel, stride in zip(
                x.shape[2:], self.dilations, self.kernel, self.strides, strict=True
            )
        ]
        patches = functional.unfold(x, self.kernel, self.dilations, stride=self.strides).transpose(1, 2)
        return patches, space[-self.dimensions :]


class MappedConvolution(MappedLayer):
    """y = conv(x, K) + b: the kernels K (channels out, channels in x kernel area) are a matrix on tiles, and every
    output position reads it once with its patch of the (padded) input. Each group is a matrix of its own.
    """

    def __init__(self, name: str, layer: Convolution, groups: list[Matrix]) -> None:
        super().__init__(name, layer, {"weight": tuple(groups)})
        self.of_group = nn.ModuleList(groups)
        self.bias = layer.bias
        self.geometry = Geometry.of(layer)
        self.in_channels, self.out_channels = layer.in_channels, layer.out_channels

    @classmethod
    def of(cls, name: str, layer: Convolution, program: Program) -> MappedConvolution:
        """The layer on tiles: one matrix `name`, or `name.groups.0`, `name.groups.1` ... one per group."""
        kernels = layer.weight.detach().flatten(1).chunk(layer.groups)
        names = [name] if layer.groups == 1 else [f"{name}.groups.{index}" for index in range(layer.groups)]
        return cls(name, layer, [program(one, kernel) for one, kernel in zip(names, kernels, strict=True)])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """x (n, channels in, [height,] width) -> (n, channels out, [height,] width); n may be missing."""
        dimensions = self.geometry.dimensions
        if x.ndim == dimensions + 1:
            alone: torch.Tensor = self(x[None])
            return alone[0]
        if x.ndim != dimensions + 2 or x.shape[1] != self.in_channels:
            raise MappingError(
                f"{self.name}: the input must have {self.in_channels} channels and {dimensions} dimensions of "
                f"space, got shape {tuple(x.shape)}"
            )
        patches, space = self.geometry.patches(x)
        parts = patches.chunk(len(self.of_group), dim=2)
        y = torch.cat([matrix(part) for matrix, part in zip(self.of_group, parts, strict=True)], dim=2)
        if self.bias is not None:
            y = y + self.bias
        return y.transpose(1, 2).reshape(len(x), self.out_channels, *space)

    def extra_repr(self) -> str:
        return f"{self.in_channels}, {self.out_channels}, kernel {self.geometry.kernel}, stride {self.geometry.strides}"


def _two(values: tuple[int, ...]) -> tuple[int, int]:
    """(height, width); a single row where there is only a width."""
    return (values[0], values[1]) if len(values) == 2 else (1, values[0])


def _edges(layer: Convolution) -> list[int]:
    """What is added before and after, last dimension first, as functional.pad wants it."""
    edges: list[int] = []
    for axis in reversed(range(len(layer.kernel_size))):
        if layer.padding == "same":
            total = layer.dilation[axis] * (layer.kernel_size[axis] - 1)
            edges += [total // 2, total - total // 2]
        else:
            edges += [0, 0] if layer.padding == "valid" else [int(layer.padding[axis])] * 2
    return edges
