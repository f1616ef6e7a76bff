"""Torch's transformer encoders may bypass their layers and read weights directly; on tiles they must not."""

from __future__ import annotations

from torch import nn

from crossbar_sim.layers.base import MappedLayer

SWITCH = {
    nn.TransformerEncoderLayer: ("activation_relu_or_gelu", 0),
    nn.TransformerEncoder: ("use_nested_tensor", False),
}
REMEMBERED = "switch_before_mapping"


def close_fast_paths(model: nn.Module, *others: type[nn.Module]) -> None:
    """Make every transformer encoder that holds a mapped layer, or one of other kinds that torch does not know, call
    its layers, also in evaluation mode."""
    kinds: tuple[type[nn.Module], ...] = (MappedLayer, *others)
    for module in model.modules():
        for kind, (switch, off) in SWITCH.items():
            if isinstance(module, kind) and any(isinstance(part, kinds) for part in module.modules()):
                if not hasattr(module, REMEMBERED):
                    setattr(module, REMEMBERED, getattr(module, switch))
                setattr(module, switch, off)


def open_fast_paths(model: nn.Module) -> None:
    """As it was before `close_fast_paths`, where no mapped layer is left."""
    for module in model.modules():
        for kind, (switch, _) in SWITCH.items():
            if isinstance(module, kind) and hasattr(module, REMEMBERED):
                if any(isinstance(part, MappedLayer) for part in module.modules()):
                    continue
                setattr(module, switch, getattr(module, REMEMBERED))
                delattr(module, REMEMBERED)
