"""load_state_dict on a mapped model: all that would be refused is refused before anything is loaded or programmed."""

from __future__ import annotations

from typing import Any

from torch import nn

from crossbar_sim.chip.simulated import SimulatedMatrix
from crossbar_sim.layers.base import MappedLayer
from crossbar_sim.spec.errors import MappingError


def check_before_loading(model: nn.Module) -> None:
    """From now on whatever holds a mapped layer checks a state before it is loaded."""
    stop_checking(model)
    for module in model.modules():
        if any(isinstance(part, MappedLayer) for part in module.modules()):
            module._register_load_state_dict_pre_hook(_check, with_module=True)


def stop_checking(model: nn.Module) -> None:
    """As it was before `check_before_loading`."""
    for module in model.modules():
        for key, hook in list(module._load_state_dict_pre_hooks.items()):
            if hook.hook is _check:  # type: ignore[attr-defined]
                del module._load_state_dict_pre_hooks[key]


def _check(module: nn.Module, state: dict[str, Any], prefix: str, *_: Any) -> None:
    """MappingError for the first value of `state` that a matrix, parameter or buffer of the module cannot take."""
    for path, part in module.named_modules(prefix=prefix.removesuffix(".")):
        start = f"{path}." if path else ""
        if isinstance(part, SimulatedMatrix):
            if f"{start}master" in state:
                part.check_loadable(state[f"{start}master"])
            continue
        for name, own in (*part._parameters.items(), *part._buffers.items()):
            given = state.get(f"{start}{name}")
            if own is not None and given is not None and given.shape != own.shape:
                raise MappingError(
                    f"'{start}{name}' is {tuple(own.shape)}, got {tuple(given.shape)} to load; nothing was loaded"
                )
