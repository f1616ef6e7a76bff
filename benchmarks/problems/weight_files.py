"""Pre-trained models as safetensors files; the header holds how to build the model, and facts about it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from crossbar_sim import CrossbarError, SpecError
from crossbar_sim.runtime.files import write_bytes
from crossbar_sim.spec.documents import parse_json


class AssetError(CrossbarError, ValueError):
    """A file that ships with the package is missing, truncated or not what its name says."""


def save_weights(path: Path, model: nn.Module, constructor: Mapping[str, int], facts: Mapping[str, str]) -> None:
    """Write the weights of `model`, whole or not at all.

    constructor: the arguments that build such a model; facts: for example the accuracy reached.
    """
    tensors = {name: tensor.contiguous() for name, tensor in model.state_dict().items()}
    header = {**facts, "format": "pt", "constructor": json.dumps(constructor, sort_keys=True)}
    write_bytes(path, save(tensors, header))


def read_header(path: Path) -> dict[str, str]:
    """The header of a file; AssetError if it cannot be read."""
    try:
        with safe_open(path, framework="pt") as file:
            return dict(file.metadata() or {})
    except (SafetensorError, OSError) as error:
        raise AssetError(str(error)) from error


def constructor_of(header: Mapping[str, str]) -> dict[str, int]:
    """The arguments that build the model; AssetError if the header has none."""
    if "constructor" not in header:
        raise AssetError("its header has no constructor arguments")
    try:
        arguments: dict[str, int] = dict(parse_json(header["constructor"], "constructor"))
    except (SpecError, TypeError, ValueError) as error:
        raise AssetError(f"its constructor arguments are wrong: {error}") from error
    return arguments


def read_weights(path: Path, model: nn.Module) -> None:
    """Put the weights of a file into `model`; AssetError unless they are exactly the ones it has."""
    try:
        with safe_open(path, framework="pt") as file:
            tensors: dict[str, Tensor] = {name: file.get_tensor(name) for name in list(file.keys())}
        model.load_state_dict(tensors)
    except (SafetensorError, RuntimeError) as error:
        raise AssetError("its tensors do not fit its constructor arguments") from error
