"""map_model: the only way to put a torch model on tiles. unmap: the way back."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, TypeVar, overload

import torch
from torch import nn

from crossbar_sim.chip.chip import Chip
from crossbar_sim.chip.interface import TiledChip
from crossbar_sim.chip.mapped import Mapped
from crossbar_sim.chip.matrix import Matrix
from crossbar_sim.hardware.hardware import Hardware
from crossbar_sim.layers.attention import MappedAttention
from crossbar_sim.layers.base import MappedLayer, Program, Weights
from crossbar_sim.layers.convolution import MappedConvolution
from crossbar_sim.layers.fast_path import close_fast_paths, open_fast_paths
from crossbar_sim.layers.hung_on import computed_weight
from crossbar_sim.layers.in_use import user_of
from crossbar_sim.layers.linear import MappedLinear, is_transposed
from crossbar_sim.layers.loading import check_before_loading, stop_checking
from crossbar_sim.layers.recurrent import MappedCell, MappedRecurrent
from crossbar_sim.layers.ties import cut_ties, keep_apart, tied_embeddings
from crossbar_sim.spec.errors import MappingError
from crossbar_sim.spec.spec import nearest

OnTiles = Callable[[str, Any, Program], MappedLayer]
"""Makes the layer on tiles from its name, the torch layer, and what programs its matrices."""
KINDS: dict[type[nn.Module], OnTiles] = {
    nn.Linear: MappedLinear.of,
    nn.Conv1d: MappedConvolution.of,
    nn.Conv2d: MappedConvolution.of,
    nn.MultiheadAttention: MappedAttention.of,
    nn.RNNCell: MappedCell.of,
    nn.LSTMCell: MappedCell.of,
    nn.GRUCell: MappedCell.of,
    nn.RNN: MappedRecurrent.of,
    nn.LSTM: MappedRecurrent.of,
    nn.GRU: MappedRecurrent.of,
}
HEADS = ("head", "classifier", "score", "lm_head", "fc", "qa_outputs")
"""What the last layers of a model are called: torchvision, timm and Hugging Face's models for a task."""
AChip = TypeVar("AChip", bound=TiledChip)


@overload
def map_model(
    model: nn.Module,
    chip: Hardware | str | Path,
    *,
    seed: int = ...,
    target: Iterable[str] | None = ...,
    exclude: Iterable[str] | None = ...,
    hardware_of: Mapping[str, Hardware | str | Path] | None = ...,
) -> Chip: ...


@overload
def map_model(
    model: nn.Module,
    chip: AChip,
    *,
    target: Iterable[str] | None = ...,
    exclude: Iterable[str] | None = ...,
    hardware_of: Mapping[str, Hardware | str | Path] | None = ...,
) -> AChip: ...


def map_model(
    model: nn.Module,
    chip: Hardware | str | Path | TiledChip,
    *,
    seed: int = 0,
    target: Iterable[str] | None = None,
    exclude: Iterable[str] | None = None,
    hardware_of: Mapping[str, Hardware | str | Path] | None = None,
) -> TiledChip:
    """Move layers of `model` onto tiles, in place, and return the chip that holds them.

    On tiles go layers that are exactly nn.Linear, nn.Conv1d, nn.Conv2d, nn.MultiheadAttention, nn.RNN, nn.LSTM, nn.GRU
    and their cells, and what GPT-2 of transformers calls Conv1D; `chip.skipped` says why others do not. Patterns are
    dotted names, '*' stands for anything.

    chip: the chip that takes them; a Hardware, or the name of one, stands for a new Chip of that design and `seed`.
    target: which of them go; None: all. exclude: which stay digital; None: the head (`head_name`), and linear layers
    whose weight is that of an embedding.
    hardware_of: other hardware for some layers, by the first pattern that matches; its digital periphery must be that
    of the chip. Programming is billed to the ledger phase 'deploy'. Layers that share a weight have cells of their own;
    `chip.plan.cut_ties` names them. Raises MappingError if nothing can be mapped, a pattern matches nothing, a weight
    is not finite or a method is attached; model, chip and ledger are then left as they were.
    """
    if not isinstance(model, nn.Module):
        raise MappingError(f"model: only a torch module has layers for tiles, got {type(model).__name__}")
    if not isinstance(chip, Hardware | str | Path | TiledChip):
        raise MappingError(f"chip: give a Hardware, the name of one or a Chip, got {type(chip).__name__}")
    user = user_of(model)
    if user is not None:
        raise MappingError(f"{user} is attached to this {type(model).__name__}; adapter.detach() first, map, attach")
    found = _modules_with_parameters(model)
    mappable = {name: module for name, module in found.items() if kind_of(module) is not None}
    targets = None if target is None else _known_patterns("target", target, mappable)
    excludes = _head_patterns(model) if exclude is None else _known_patterns("exclude", exclude, found)
    tied = tied_embeddings(model) if target is None and exclude is None else {}
    reasons = {name: _reason_to_skip(name, module, targets, excludes, tied) for name, module in found.items()}
    chosen = {name: module for name, module in found.items() if reasons[name] is None}
    if not chosen:
        raise MappingError(
            f"{type(model).__name__} has no layer to map ({', '.join(kind.__name__ for kind in KINDS)}); excluded: "
            f"{', '.join(excludes) or 'nothing'}{_why_none(reasons)}"
        )
    if "" in chosen:
        raise MappingError(f"the model is a single {type(model).__name__}; wrap it: nn.Sequential(layer)")
    if isinstance(chip, Hardware | str | Path):
        chip = Chip(_design(chip), seed)
    designs = _designs(chip.hardware, hardware_of or {}, chosen)
    with chip.all_or_nothing(), chip.ledger.phase("deploy"):
        mapped: dict[nn.Module, MappedLayer] = {
            module: kind(name, module, _programmer(chip, designs[name]))
            for name, module in chosen.items()
            if (kind := kind_of(module)) is not None
        }
    chip.skipped.extend((name, reason) for name, reason in reasons.items() if reason is not None)
    replace_modules(model, {module: layer.train(module.training) for module, layer in mapped.items()})
    close_fast_paths(model)
    check_before_loading(model)
    kinds = {name: type(module).__name__ for name, module in chosen.items()}
    chip.mapped.append(mapped_record(model, kinds))
    return chip


def kind_of(layer: nn.Module) -> OnTiles | None:
    """What puts a layer of this class on tiles; None: nothing does."""
    return MappedLinear.of if is_transposed(layer) else KINDS.get(type(layer))


def head_name(model: nn.Module) -> str | None:
    """The name of the model's head: the first of HEADS that it has, with parameters; None: it has none."""
    for name in HEADS:
        part = getattr(model, name, None)
        if isinstance(part, nn.Module) and next(part.parameters(), None) is not None:
            return name
    return None


def _head_patterns(model: nn.Module) -> tuple[str, ...]:
    name = head_name(model)
    return () if name is None else (name, f"{name}.*")


def unmap(model: nn.Module, *, weights: Weights) -> None:
    """Put the torch layers back, in place; the chip keeps its cells, its ledger and its wear.

    weights: 'cells', what the conductances stand for now (programming errors, stuck cells and all), or 'master', the
    float copies. Biases are as they are now. Layers that shared a weight share it again if it is the same in all of
    them. Raises MappingError if nothing is mapped or a method is attached.
    """
    layers = {name: module for name, module in model.named_modules() if isinstance(module, MappedLayer)}
    if weights not in ("cells", "master"):
        raise MappingError(f"weights must be 'cells' or 'master', got '{weights}'")
    if not layers:
        raise MappingError(f"{type(model).__name__} has no layer on tiles")
    inside = {part for layer in layers.values() for part in layer.modules()}
    for name, module in model.named_modules():
        moved = isinstance(module, MappedLayer) and not _same_place(name, module.name)
        if moved or (isinstance(module, Matrix) and module not in inside):
            raise MappingError(
                f"'{name}' is not where map_model put a layer: something is wrapped around or added to it, such as a "
                "fine-tuning method; adapter.detach() first"
            )
    user = user_of(model)
    if user is not None:
        raise MappingError(f"{user} is attached to this {type(model).__name__}; adapter.detach() first")
    keep_apart(model, weights)
    parts = {part for layer in layers.values() for part in layer.modules() if part is not layer}
    restored: dict[nn.Module, nn.Module] = {
        layer: layer.restored(weights) for layer in layers.values() if layer not in parts
    }
    replace_modules(model, restored)
    open_fast_paths(model)
    stop_checking(model)
    matrices = [part for layer in layers.values() for part in layer.modules() if isinstance(part, Matrix)]
    for chip in {matrix.chip for matrix in matrices if isinstance(matrix.chip, TiledChip)}:
        chip.mapped = [one for one in chip.mapped if any(isinstance(m, MappedLayer) for m in one.model.modules())]


def _modules_with_parameters(model: nn.Module) -> dict[str, nn.Module]:
    """Modules with parameters of their own, without the inner ones of nn.MultiheadAttention."""
    attention = [name for name, module in model.named_modules() if type(module) is nn.MultiheadAttention]
    return {
        name: module
        for name, module in model.named_modules()
        if next(module.parameters(recurse=False), None) is not None
        and not any(name != outer and name.startswith(f"{outer}." if outer else "") for outer in attention)
    }


def _matches(name: str, pattern: str) -> bool:
    """Whether a pattern is a layer's name, brackets and all, or stands for it."""
    return name == pattern or fnmatchcase(name, pattern)


def _known_patterns(argument: str, patterns: Iterable[str], modules: Iterable[str]) -> tuple[str, ...]:
    """The patterns; MappingError if one matches none of the modules."""
    names = list(modules)
    known = (patterns,) if isinstance(patterns, str) else tuple(patterns)
    for pattern in known:
        if not any(_matches(name, pattern) for name in names):
            raise MappingError(f"{argument}: no layer matches '{pattern}'{nearest(pattern, names)}")
    return known


def _reason_to_skip(
    name: str,
    module: nn.Module,
    targets: tuple[str, ...] | None,
    excludes: tuple[str, ...],
    tied: Mapping[nn.Module, str],
) -> str | None:
    kind = type(module).__name__
    if isinstance(module, MappedLayer | Matrix):
        return f"{kind} is on tiles already"
    if isinstance(module, nn.Embedding):
        return "Embedding is digital: a look-up is a memory read, not a product"
    computed = computed_weight(module)
    if computed is not None:
        if name in (targets or ()):
            raise MappingError(f"target: '{name}': {computed}")
        return f"kept digital: {computed}"
    if kind_of(module) is None:
        return f"{kind} is digital: on tiles go {', '.join(one.__name__ for one in KINDS)}"
    matching = [pattern for pattern in excludes if _matches(name, pattern)]
    if matching:
        return f"kept digital by request ('{matching[0]}')"
    if targets is not None and not any(_matches(name, pattern) for pattern in targets):
        return "kept digital by request (not a target)"
    if module in tied:
        return f"kept digital: its weight is tied to '{tied[module]}'; a target, or exclude=[], puts it on tiles"
    return None


def _why_none(reasons: Mapping[str, str | None]) -> str:
    """Why the first layer that might have gone on tiles does not; nothing where there is no such layer."""
    kept = [(name, why) for name, why in reasons.items() if why is not None and why.startswith("kept digital:")]
    return f"; '{kept[0][0]}' is {kept[0][1]}" if kept else ""


def _design(hardware: Hardware | str | Path) -> Hardware:
    return hardware if isinstance(hardware, Hardware) else Hardware.load(hardware)


def _designs(
    default: Hardware, named: Mapping[str, Hardware | str | Path], layers: Mapping[str, nn.Module]
) -> dict[str, Hardware]:
    """Hardware per layer; MappingError if its digital periphery differs: one chip has one."""
    others: dict[str, Hardware] = {}
    for pattern, design in named.items():
        _known_patterns("hardware_of", [pattern], layers)
        others[pattern] = hardware = _design(design)
        ours, theirs = (one.digital.model_dump(exclude={"provenance"}) for one in (default, hardware))
        if ours != theirs:
            differing = ", ".join(key for key in ours if ours[key] != theirs[key])
            raise MappingError(
                f"hardware_of['{pattern}']: {hardware.name} has another digital periphery ({differing}) than "
                f"{default.name}, but a chip has one; use {hardware.name!r} with digital=... of {default.name!r}"
            )
    return {
        name: next((hardware for pattern, hardware in others.items() if _matches(name, pattern)), default)
        for name in layers
    }


def _programmer(chip: TiledChip, hardware: Hardware) -> Program:
    def program(name: str, weight: torch.Tensor) -> Matrix:
        return chip.matrix(name, weight, hardware=hardware)

    return program


def mapped_record(model: nn.Module, layers: Mapping[str, str]) -> Mapped:
    """Of a mapped model: its layers on tiles, by name and torch class, and where its digital numbers are."""
    digital: dict[str, tuple[nn.Module, str]] = {}
    for path, module in model.named_modules():
        if not isinstance(module, Matrix):
            for own, tensor in (*module._parameters.items(), *module._buffers.items()):
                if tensor is not None:
                    digital[f"{path}.{own}" if path else own] = module, own
    cut = tuple(tuple(holder.layer for holder in holders) for holders in cut_ties(model))
    return Mapped(model, dict(layers), digital, cut)


def replace_modules(model: nn.Module, by: Mapping[nn.Module, nn.Module]) -> None:
    """Put other modules where these are, everywhere in the model."""
    for owner in list(model.modules()):
        for child, module in list(owner._modules.items()):
            if module is not None and module in by:
                setattr(owner, child, by[module])


def _same_place(path: str, name: str) -> bool:
    """Whether a layer mapped as `name` may be found at `path`, also in a part of the model or a model around it."""
    return path in ("", name) or path.endswith("." + name) or name.endswith("." + path)
