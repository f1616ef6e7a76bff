"""What a model may be called where it is only counted: shapes that ship, a file, a problem, a configuration of Hugging
Face's transformers, a function."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.problems.catalogue import problem_names
from benchmarks.problems.find import find_problem
from benchmarks.problems.from_file.huggingface import transformers
from benchmarks.problems.model_file import read_model
from benchmarks.problems.problem import Problem
from benchmarks.problems.shapes import SHAPES, ModelShape
from crossbar_sim import SpecError
from crossbar_sim.spec.documents import read_toml
from crossbar_sim.spec.spec import nearest
from peft_methods.training.samples import Inputs

TOKENS = 128
"""In one sample of a text model, unless told otherwise."""
IDS, PIXELS = "input_ids", "pixel_values"
RANK, ALPHA = 8, 16.0
MOST_BLOCKS = 1000
BLOCKS = ("num_hidden_layers", "n_layer", "num_layers", "num_decoder_layers", "encoder_layers", "decoder_layers")
"""What configurations call their numbers of blocks."""
CONFIG = "config.json"


def find_shape(model: str) -> ModelShape:
    """A model by whatever names it; SpecError says what may.

    A name of `problems.shapes` or of a problem; a TOML file of layer shapes or of a problem; a folder, a config.json or
    'owner/name' of a hub of Hugging Face's transformers, of which the configuration alone is read; 'module:function',
    where the function returns a model of transformers, (model, inputs of one sample) or a Problem.
    """
    if model.endswith(".toml"):
        return _of_toml(Path(model))
    if model in SHAPES:
        return SHAPES[model]
    if model in problem_names():
        return shape_of_problem(find_problem(model))
    if model.endswith(".json") or (Path(model) / CONFIG).is_file():
        return _of_configuration(model)
    if ":" in model:
        return _of_function(model)
    if model.count("/") == 1:
        return _of_configuration(model)
    raise SpecError(
        f"no model '{model}'{nearest(model, [*SHAPES, *problem_names()])}; or a TOML file, a folder or config.json of "
        "transformers, owner/name on a hub, module:function"
    )


def _of_toml(path: Path) -> ModelShape:
    """Of layer shapes, or of a problem."""
    document = read_toml(path)
    return shape_of_problem(find_problem(str(path))) if {"problem", "task_type"} & set(document) else read_model(path)


def shape_of_problem(problem: Problem, task_name: str | None = None, shots: int | None = None) -> ModelShape:
    """The pre-trained model of a task of the problem (None: its first target) with so many training samples per class
    (None: as many as the problem states); a sample is as long as the longest that it trains on."""
    task = problem.targets()[0] if task_name is None else problem.task(task_name)
    train = task.data(problem.shots_per_class if shots is None else shots, 0).train
    inputs = train.take(slice(0, 1)).inputs if isinstance(train.inputs, Tensor) else train.by_name()
    return _with_inputs(partial(problem.fresh_model, task), inputs, problem.exclude)


def _of_configuration(source: str) -> ModelShape:
    hub = transformers()
    try:
        config = hub.AutoConfig.from_pretrained(source, trust_remote_code=False)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        reason = str(error).strip().partition("\n")[0][:120]
        raise SpecError(
            f"no configuration of transformers can be had from '{source}' ({reason}); give a folder with {CONFIG}, "
            "that file, or owner/name on a hub where there is a network"
        ) from None
    for name in BLOCKS:
        blocks = getattr(config, name, 0)
        if isinstance(blocks, int) and blocks > MOST_BLOCKS:
            raise SpecError(f"{source}: {name} is {blocks}; a model has at most {MOST_BLOCKS} blocks")
    return shape_of_transformer(partial(_empty, source, config), source)


def _empty(source: str, config: Any) -> nn.Module:
    """The architecture that a configuration names, else the bare model, without weights."""
    hub = transformers()
    named = [kind for name in config.architectures or () if (kind := getattr(hub, name, None)) is not None]
    try:
        with torch.device("meta"):
            model: nn.Module = named[0](config) if named else hub.AutoModel.from_config(config)
    except (ValueError, TypeError, AttributeError, KeyError, RuntimeError, ZeroDivisionError) as error:
        reason = str(error).strip().partition("\n")[0][:160]
        raise SpecError(f"{source}: transformers cannot build this model ({reason}); correct its {CONFIG}") from None
    return model


def shape_of_transformer(build: Callable[[], nn.Module], source: str) -> ModelShape:
    """A model of transformers, whose configuration says what it reads: token ids or images."""
    model: Any = build()
    reads, config = model.main_input_name, model.config
    if reads == IDS:
        tokens = min(TOKENS, getattr(config, "max_position_embeddings", TOKENS))
        names = (IDS, "decoder_input_ids") if getattr(config, "is_encoder_decoder", False) else (IDS,)
        rows = {name: torch.empty(1, tokens, dtype=torch.long, device="meta") for name in names}
        return _shape(build, partial(_texts, rows), tokens)
    if reads == PIXELS and isinstance(getattr(config, "image_size", None), int):
        size = (getattr(config, "num_channels", 3), config.image_size, config.image_size)
        return _shape(build, partial(_repeated, {PIXELS: torch.empty(1, *size, device="meta")}), None)
    raise SpecError(
        f"{source}: {type(model).__name__} reads {reads}, and only token ids and square images can be made up; write a "
        "function that returns (model, inputs of one sample) and give module:function"
    )


def _of_function(source: str) -> ModelShape:
    module, _, function = source.partition(":")
    sys.path.insert(0, str(Path.cwd()))  # as `python -m` does
    try:
        make = getattr(importlib.import_module(module), function)
    except (ImportError, AttributeError, ValueError) as error:
        raise SpecError(f"{source}: {error}; give module:function, the module as Python imports it from here") from None
    finally:
        sys.path.pop(0)
    made = make() if callable(make) else None
    if isinstance(made, Problem):
        return shape_of_problem(made)
    if isinstance(made, tuple) and len(made) == 2 and isinstance(made[0], nn.Module) and _are_inputs(made[1]):
        return _with_inputs(lambda: make()[0], made[1], None)
    if isinstance(made, nn.Module) and hasattr(made, "main_input_name"):
        return shape_of_transformer(make, source)
    raise SpecError(
        f"{source} gives a {type(made).__name__}; it must be a function without arguments that returns a model of "
        "transformers, a pair (model, inputs of one sample: a tensor, or tensors by name), or a Problem"
    )


def _are_inputs(given: object) -> bool:
    tensors = list(given.values()) if isinstance(given, Mapping) else [given]
    return bool(tensors) and all(isinstance(one, Tensor) and one.ndim > 0 for one in tensors)


def _with_inputs(build: Callable[[], nn.Module], inputs: Inputs, digital: tuple[str, ...] | None) -> ModelShape:
    """A model with inputs of its own; the number of tokens can be chosen where all are as many as the token ids."""
    if isinstance(inputs, Tensor):
        return _shape(build, partial(_repeated, _row(inputs)), None, digital)
    rows = {name: _row(tensor) for name, tensor in inputs.items()}
    if IDS in rows and all(row.ndim == 2 and row.shape == rows[IDS].shape for row in rows.values()):
        return _shape(build, partial(_texts, rows), rows[IDS].shape[1], digital)
    return _shape(build, partial(_repeated, rows), None, digital)


def _row(tensor: Tensor) -> Tensor:
    """The shape of one sample."""
    return tensor.new_empty(1, *tensor.shape[1:], device="meta")


def _shape(
    build: Callable[[], nn.Module],
    sample: Callable[..., Inputs],
    tokens: int | None,
    digital: tuple[str, ...] | None = None,
) -> ModelShape:
    return ModelShape(build, sample, tokens, None, RANK, ALPHA, digital=digital)


def _texts(rows: Mapping[str, Tensor], samples: int, tokens: int) -> Inputs:
    """Token ids, and what goes with them."""
    return {name: row.new_empty(samples, tokens) for name, row in rows.items()}


def _repeated(row: Inputs, samples: int, tokens: int | None) -> Inputs:
    """n samples of the one size that there is; SpecError if another number of tokens is asked for."""
    if tokens is not None:
        raise SpecError("tokens: this model reads inputs of one size; leave the number of tokens out")
    if isinstance(row, Tensor):
        return row.new_empty(samples, *row.shape[1:])
    return {name: one.new_empty(samples, *one.shape[1:]) for name, one in row.items()}
