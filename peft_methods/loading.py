"""load_adapter: an adapter that Hugging Face PEFT saved, attached to a model, on tiles or digital."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from crossbar_sim.chip.interface import AnyChip
from crossbar_sim.spec.documents import read_json
from peft_methods.attaching import attach_with, chip_for
from peft_methods.base import Adapter
from peft_methods.checkpoints.folder import CONFIG_FILE, PREFIX, read_config, read_tensors
from peft_methods.checkpoints.lora import lora_of
from peft_methods.checkpoints.vera import vera_of
from peft_methods.errors import CheckpointError
from peft_methods.methods.dora import DoRA
from peft_methods.methods.lora import LoRA
from peft_methods.methods.vera import VeRA
from peft_methods.model_parts import all_linear_layers, weight_of
from peft_methods.placement import Placement

OF_THE_METHOD = (".lora_", ".vera_", "base_model.vera_")
"""What is in the keys of the tensors that a method adds; all others are of the model itself: heads and biases."""
FROZEN = ".original_module."
"""What PEFT calls a head beside its trained copy."""
INSIDE = (".base_layer.", FROZEN, ".modules_to_save.default.", ".modules_to_save.", ".base.")
"""What PEFT, and adapters here, put between a layer and its parameters."""
IN_FRONT = "puts its prompts in front of the text, which moves every position; no method here does"
PROMPTS = {
    "PROMPT_TUNING": f"{IN_FRONT}, VPT's stand behind the class token (checkpoints.prompts.load_prompts reads them)",
    "MULTITASK_PROMPT_TUNING": IN_FRONT,
    "P_TUNING": f"{IN_FRONT}, and its prompts come out of a network of its own",
    "PREFIX_TUNING": "gives every layer keys and values of its own, which no method here has: VPT's deep prompts pass "
    "the layer's projections",
    "ADAPTION_PROMPT": "gives the last layers gated keys and values, which no method here has",
    "CPT": IN_FRONT,
}
"""Why adapters of PEFT that add tokens have no law in common with a method here, by their `peft_type`."""
Values = dict[nn.Parameter, Tensor]


@dataclass(frozen=True)
class Source:
    """What is loaded, where to, and where its trained matrices are to lie."""

    folder: Path
    config: Mapping[str, Any]
    tensors: Mapping[str, Tensor]
    model: nn.Module
    chip: AnyChip
    placement: Placement

    def error(self, sentence: str) -> CheckpointError:
        return CheckpointError(f"{self.folder}: {sentence}")


def load_adapter(
    model: nn.Module, chip: AnyChip | None, folder: str | Path, *, placement: Placement = "crossbar"
) -> Adapter:
    """Attach the adapter in `folder`, saved by PEFT (LoRA, DoRA, VeRA), with its trained head and biases.

    chip: the chip of a mapped model; None: that of its layers, or none. placement: where LoRA's A and B, or VeRA's
    shared pair, lie. Names may have another prefix than in the model ('bert.encoder' for 'encoder'), as long as one and
    the same prefix fits all of them. The adapter can be trained on. Programming is billed as in `attach`. Raises
    CheckpointError, which names the tensor that does not fit; model, chip and ledger are then as they were.
    """
    folder, chip = Path(folder), chip_for(model, chip)
    kind = _peft_type(folder)
    source = Source(folder, read_config(folder, kind), read_tensors(folder), model, chip, placement)
    own = {key: value for key, value in source.tensors.items() if any(part in key for part in OF_THE_METHOD)}
    others = {key: value for key, value in source.tensors.items() if key not in own}
    with chip.all_or_nothing():
        adapter, values, names = (_vera if kind == "VERA" else _lora)(source, own)
        try:
            extra = _of_the_model(source, adapter, others, names)
            adapter.train(list(extra), adapter.method.learning_rate)
            values |= extra
            trained = adapter.trained_by_name()
            adapter.load({name: values[parameter].to(parameter) for name, parameter in trained.items()})
        except BaseException:
            adapter.detach()
            raise
    adapter.finish()
    return adapter


def _peft_type(folder: Path) -> str:
    """'LORA' or 'VERA'; prompts are refused here, and what else it is by `read_config`."""
    path = folder / CONFIG_FILE
    config = read_json(path) if path.is_file() else None
    kind = config.get("peft_type") if isinstance(config, dict) else None
    if kind in PROMPTS:
        raise CheckpointError(f"{folder}: {kind} {PROMPTS[kind]}; LoRA, DoRA and VeRA can be loaded")
    return "VERA" if kind == "VERA" else "LORA"


@dataclass(frozen=True)
class Renamed:
    """The name of a module here: `strip` in front of the name on disk is replaced by `add`."""

    strip: str
    add: str

    def __call__(self, name: str) -> str:
        return self.add + name.removeprefix(self.strip)


def _renamed(source: Source, modules: Iterable[str], layers: Mapping[str, object], suffix: str) -> Renamed:
    """The renaming under which all modules are layers of the model, with the least stripped."""
    modules = list(modules)
    first = modules[0].split(".")
    for count in range(len(first)):
        strip, rest = "".join(f"{part}." for part in first[:count]), ".".join(first[count:])
        ways = [
            Renamed(strip, layer.removesuffix(rest)) for layer in layers if layer == rest or layer.endswith("." + rest)
        ]
        fitting = [way for way in ways if all(name.startswith(way.strip) and way(name) in layers for name in modules)]
        if len(fitting) == 1:
            return fitting[0]
        if fitting:
            found = " and ".join(f"'{way(modules[0])}'" for way in fitting[:2])
            raise source.error(f"'{PREFIX}{modules[0]}{suffix}' fits {found}; load it into the part that it is for")
    missing = next((name for name in modules if name not in layers), modules[0])
    raise source.error(
        f"tensor '{PREFIX}{missing}{suffix}' has no linear layer to go to in {type(source.model).__name__}; "
        "load it into the architecture that it was trained on"
    )


def _lora(source: Source, own: Mapping[str, Tensor]) -> tuple[Adapter, Values, Renamed]:
    """LoRA or DoRA, attached with new values, and what these must become."""
    weights = lora_of(source.folder, source.config, own)
    layers = all_linear_layers(source.model)
    names = _renamed(source, weights.a, layers, ".lora_A.weight")
    for module in weights.a:
        outputs, inputs = weight_of(layers[names(module)]).shape
        _check(source, f"{module}.lora_A.weight", weights.a[module], (weights.rank, inputs))
        _check(source, f"{module}.lora_B.weight", weights.b[module], (weights.rank, outputs)[::-1])
    settings: dict[str, Any] = {
        "rank": weights.rank,
        "alpha": weights.alpha,
        "placement": source.placement,
        "targets": tuple(names(module) for module in weights.a),
        "a_range": max([2.0, *(float(a.abs().max()) * math.sqrt(a.shape[1]) for a in weights.a.values())]),
        "b_range": max([0.25, *(float(b.abs().max()) for b in weights.b.values())]),
        "dropout": float(source.config.get("lora_dropout") or 0.0),
    }
    method = LoRA(**settings) if weights.magnitude is None else DoRA(**settings)
    adapter = method.attach(source.model, source.chip)
    values: Values = {}
    for module in weights.a:
        layer = adapter.layers[names(module)]
        values |= {layer.a.master: weights.a[module], layer.b.master: weights.b[module]}
        lengths = layer.magnitudes()
        if lengths is not None and weights.magnitude is not None:
            values[lengths] = weights.magnitude[module]
    return adapter, values, names


def _vera(source: Source, own: Mapping[str, Tensor]) -> tuple[Adapter, Values, Renamed]:
    """VeRA, attached with the shared matrices of the file, and what its vectors must become."""
    weights = vera_of(source.folder, source.config, own)
    layers = all_linear_layers(source.model)
    names = _renamed(source, weights.lambda_b, layers, ".vera_lambda_b")
    for module, lambda_b in weights.lambda_b.items():
        outputs, inputs = weight_of(layers[names(module)]).shape
        _check(source, f"{module}.vera_lambda_b", lambda_b, (outputs,))
        if inputs > weights.a.shape[1]:
            raise source.error(
                f"tensor 'base_model.vera_A' is {tuple(weights.a.shape)}, too narrow for the {inputs} inputs of "
                f"{module}"
            )
    method = VeRA(
        rank=weights.rank,
        placement=source.placement,
        targets=tuple(names(module) for module in weights.lambda_b),
    )

    def make(model: nn.Module, chip: AnyChip, seed: int) -> Any:
        return method.adapter_with((weights.a, weights.b), model, chip, seed)

    adapter = attach_with(make, source.model, source.chip, 0)
    values: Values = {}
    for module in weights.lambda_b:
        layer = adapter.layers[names(module)]
        values |= {layer.lambda_b: weights.lambda_b[module], layer.lambda_d: weights.lambda_d[module]}
    return adapter, values, names


def _check(source: Source, key: str, tensor: Tensor, wanted: tuple[int, ...]) -> None:
    if tuple(tensor.shape) != wanted:
        raise source.error(f"tensor '{PREFIX}{key}' is {tuple(tensor.shape)}, the layer needs {wanted}")


def _of_the_model(source: Source, adapter: Adapter, others: Mapping[str, Tensor], names: Renamed) -> Values:
    """Parameters of the model itself that were trained too, a head and biases, with their values."""
    parameters = {_plain(name): parameter for name, parameter in source.model.named_parameters()}
    found: Values = {}
    for key in sorted(others, key=lambda key: FROZEN not in key):  # a trained copy comes later and prevails
        value = others[key]
        name = _plain(key.removeprefix(PREFIX))
        here = next((one for one in (names(name), name) if one in parameters), None)
        if not key.startswith(PREFIX) or here is None:
            on_tiles = here is None and f"{names(name).rpartition('.')[0]}.matrix.master" in parameters
            why = (
                "is of a layer on tiles; map_model(..., exclude=...) it"
                if on_tiles
                else f"has no parameter to go to in {type(source.model).__name__}; give it the head that this is of"
            )
            raise source.error(f"tensor '{key}' {why}")
        if parameters[here].shape != value.shape:
            raise source.error(
                f"tensor '{key}' is {tuple(value.shape)}, the model has {tuple(parameters[here].shape)} there"
            )
        if not bool(torch.isfinite(value).all()):
            raise source.error(f"tensor '{key}' holds NaN or infinite values")
        found[parameters[here]] = value
    return found


def _plain(name: str) -> str:
    """A parameter's name without what is put around its layer."""
    for inside in INSIDE:
        name = name.replace(inside, ".")
    return name
