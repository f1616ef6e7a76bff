"""Estimate: the counts of a method on a model of any size, from shapes alone."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from torch import nn

from benchmarks.shapes import get_shape, pool_shape
from crossbar_sim import Hardware, SpecError
from crossbar_sim.mapping import CELLS_PER_WEIGHT, cut
from crossbar_sim.spec import nearest
from peft_methods import METHODS
from peft_methods.base import linear_layers

DIGITAL = ("head", "lm_head")  # layers that map_model leaves digital too


def estimate(model: str, method: str, hardware: str | Path) -> dict[str, Any]:
    """Trained values, tiles and pool cells, by attaching the method to the model's shapes.

    model: a name of benchmarks.shapes; method: a key of METHODS; hardware: a name or TOML path.
    """
    shape, design = get_shape(model), Hardware.load(hardware)
    if method not in METHODS:
        raise SpecError(f"no method '{method}'{nearest(method, list(METHODS))}")
    network = shape.build()
    backbone = {name: layer.weight for name, layer in network.named_modules()
                if isinstance(layer, nn.Linear) and name not in DIGITAL}  # fmt: skip
    targets = {name: (layer.weight.shape[0], layer.weight.shape[1])
               for name, layer in linear_layers(network, shape.targets).items()}  # fmt: skip
    kind = METHODS[method]
    settings = {"rank": shape.rank, "alpha": shape.alpha, "targets": tuple(targets)}
    spec = kind(**{key: value for key, value in settings.items() if key in kind.model_fields})
    adapter = spec.attach(network, pool=pool_shape(targets, shape) if spec.needs_pool else None)
    trained = set(map(id, adapter.trained_parameters()))
    added = {matrix.name: matrix.master for matrix, placement in adapter.placed if placement == "crossbar"}
    matrices = {**backbone, **added}
    return {
        "model": model,
        "method": method,
        "hardware": design.name,
        "trained_values": adapter.trained_values,
        "backbone_weights": sum(weight.numel() for weight in backbone.values()),
        "tiles": sum(len(cut(name, w.shape[1], w.shape[0], design.tile)) for name, w in matrices.items()),
        "backbone_cells": _cells(backbone.values()),
        "pool_cells": _cells(weight for weight in added.values() if id(weight) not in trained),
        "trained_cells": _cells(weight for weight in matrices.values() if id(weight) in trained),
    }


def _cells(weights: Iterable[torch.Tensor]) -> int:
    return CELLS_PER_WEIGHT * sum(weight.numel() for weight in weights)
