"""Estimate: the counts of a method on a model of any size, from shapes alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from benchmarks.shapes import ModelShape, get_shape, pool_shape
from crossbar_sim import Hardware, SpecError
from crossbar_sim.mapping import cut
from crossbar_sim.spec import nearest
from peft_methods import METHODS, Method
from peft_methods.base import linear_layers

CELLS_PER_WEIGHT = 2
DIGITAL = ("head", "lm_head")  # layers that map_model leaves digital too


@dataclass(frozen=True)
class Shapes:
    """A method attached to shapes: how many values it trains, and every matrix on tiles, without weights."""

    trained_values: int
    backbone: dict[str, torch.Tensor]
    added: dict[str, torch.Tensor]
    trained: frozenset[int]

    @property
    def matrices(self) -> dict[str, torch.Tensor]:
        """Everything on tiles."""
        return {**self.backbone, **self.added}

    @property
    def trained_cells(self) -> int:
        """Cells that training may rewrite."""
        return _cells(weight for weight in self.matrices.values() if id(weight) in self.trained)

    @property
    def pool_cells(self) -> int:
        """Cells of frozen matrices that the method adds."""
        return _cells(weight for weight in self.added.values() if id(weight) not in self.trained)


def attach_shapes(shape: ModelShape, method: Method) -> Shapes:
    """Attach a method to a model without weights."""
    network = shape.build()
    backbone = {name: layer.weight for name, layer in network.named_modules()
                if isinstance(layer, nn.Linear) and name not in DIGITAL}  # fmt: skip
    pool = pool_shape(target_sizes(network, shape), shape) if method.needs_pool else None
    adapter = method.attach(network, pool=pool)
    added = {matrix.name: matrix.master for matrix, placement in adapter.placed if placement == "crossbar"}
    return Shapes(adapter.trained_values, dict(backbone), dict(added), frozenset(map(id, adapter.trained_parameters())))


def target_sizes(network: nn.Module, shape: ModelShape) -> dict[str, tuple[int, int]]:
    """(outputs, inputs) of the layers that adapters change."""
    layers = linear_layers(network, shape.targets)
    return {name: (layer.weight.shape[0], layer.weight.shape[1]) for name, layer in layers.items()}


def estimate(
    model: str, method: str, hardware: str | Path, settings: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Trained values, tiles and pool cells, by attaching the method to the model's shapes.

    model: a name of benchmarks.shapes; method: a key of METHODS; hardware: a name or TOML path; settings: of the
    method, in place of those that the model's shape brings along.
    """
    shape, design = get_shape(model), Hardware.load(hardware)
    if method not in METHODS:
        raise SpecError(f"no method '{method}'{nearest(method, list(METHODS))}")
    kind = METHODS[method]
    usual: dict[str, Any] = {"rank": shape.rank, "alpha": shape.alpha}
    if shape.targets is not None:
        usual["targets"] = shape.targets
    own = {key: value for key, value in usual.items() if key in kind.model_fields}
    counts = attach_shapes(shape, kind(**{**own, **shape.settings.get(method, {}), **(settings or {})}))
    return {
        "model": model,
        "method": method,
        "hardware": design.name,
        "trained_values": counts.trained_values,
        "backbone_weights": sum(weight.numel() for weight in counts.backbone.values()),
        "tiles": sum(len(cut(name, w.shape[1], w.shape[0], design.tile)) for name, w in counts.matrices.items()),
        "backbone_cells": _cells(counts.backbone.values()),
        "pool_cells": counts.pool_cells,
        "trained_cells": counts.trained_cells,
    }


def method_records() -> list[dict[str, Any]]:
    """Every method in each placement, with its hardware consequences on the default backbone at default settings.

    `cells_written_per_step` is an upper bound: only cells whose target level changes are written.
    """
    records, shape = [], get_shape("digits-vit")
    for name, kind in METHODS.items():
        for placement in ("crossbar", "sram") if "placement" in kind.model_fields else (None,):
            method = kind() if placement is None else kind(placement=placement)  # type: ignore[call-arg]
            counts = attach_shapes(shape, method)
            records.append({
                "method": name, "display_name": method.display_name, "placement": placement,
                "lives_in": {**method.placements(), **method.frozen_placements()},
                "cells_written_per_step": counts.trained_cells, "cells_written_per_step_is": "at most",
                "pool_cells": counts.pool_cells, "transposed_reads": method.transposed_reads,
                "extra_reads": method.extra_reads, "trained_values": counts.trained_values,
            })  # fmt: skip
    return records


def _cells(weights: Iterable[torch.Tensor]) -> int:
    return CELLS_PER_WEIGHT * sum(weight.numel() for weight in weights)
