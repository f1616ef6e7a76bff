"""What hangs on a layer besides its parameters: hooks move with it, and weights that are computed keep it digital."""

from __future__ import annotations

from torch import nn
from torch.nn.utils import parametrize
from torch.nn.utils.prune import BasePruningMethod
from torch.nn.utils.spectral_norm import SpectralNorm
from torch.nn.utils.weight_norm import WeightNorm

HOOKS = (
    "_forward_hooks",
    "_forward_hooks_with_kwargs",
    "_forward_hooks_always_called",
    "_forward_pre_hooks",
    "_forward_pre_hooks_with_kwargs",
    "_backward_hooks",
    "_backward_pre_hooks",
    "_is_full_backward_hook",
)
"""Where torch keeps what runs before and after a layer."""


def computed_weight(layer: nn.Module) -> str | None:
    """Why the weights of a layer are not parameters but computed before every call; None: they are parameters."""
    for module in layer.modules():
        if parametrize.is_parametrized(module):
            return "its weights are computed by a parametrisation; parametrize.remove_parametrizations() it first"
        for hook in module._forward_pre_hooks.values():
            if isinstance(hook, WeightNorm | SpectralNorm | BasePruningMethod):
                kind = "pruning" if isinstance(hook, BasePruningMethod) else type(hook).__name__
                return (
                    f"its weights are computed by {kind} before every call; make it permanent (prune.remove, "
                    "remove_weight_norm, remove_spectral_norm) first"
                )
    return None


def has_hooks(layer: nn.Module) -> bool:
    """Whether something runs before or after it."""
    return any(vars(layer)[name] for name in HOOKS[:-1])


def share_hooks(source: nn.Module, target: nn.Module) -> None:
    """Let the hooks of one layer run on another; a hook that is removed or added later is so on both."""
    for name in HOOKS:
        setattr(target, name, vars(source)[name])
