"""ModelState: what attaching a method and training change in a model, as it was before."""

from __future__ import annotations

import torch
from torch import nn

from crossbar_sim.chip.matrix import Matrix

HELD = (torch.Tensor, tuple, bool, type(None))
"""What a layer holds a result as, or the lack of one."""


class ModelState:
    """The layers, modes, buffers, gradients and requires_grad flags of `model` at one moment.

    Values of parameters are not held: whoever trains them keeps what they were.
    """

    def __init__(self, model: nn.Module) -> None:
        modules = list(model.modules())
        self.model = model
        self.parameters = frozenset(model.parameters())
        self._children = {module: dict(module._modules) for module in modules}
        self._attributes = {module: set(vars(module)) for module in modules}
        self._training = {module: module.training for module in modules}
        self._keeps_factors = {module: module.keeps_factors for module in modules if isinstance(module, Matrix)}
        self._gradients = {parameter: (parameter.requires_grad, parameter.grad) for parameter in self.parameters}
        outside = [module for module in modules if not isinstance(module, Matrix)]
        self.buffers = [
            (buffer, buffer.clone()) for module in outside for buffer in module.buffers(recurse=False)
        ]  # of a matrix on tiles they are the state of its cells and reads, which stay

    def restore_layers(self) -> None:
        """Every layer where it was."""
        for owner, children in self._children.items():
            for name, child in children.items():
                if owner._modules.get(name) is not child:
                    setattr(owner, name, child)
            for name in set(owner._modules) - set(children):
                delattr(owner, name)
                if name in self._attributes[owner]:
                    setattr(owner, name, None)

    @torch.no_grad()
    def restore(self) -> None:
        """Modes, buffers, gradients and flags as they were."""
        for module, training in self._training.items():
            module.training = training
        for matrix, keeps in self._keeps_factors.items():
            matrix.keep_factors(keeps)
        for buffer, value in self.buffers:
            buffer.copy_(value)
        for parameter, (required, gradient) in self._gradients.items():
            parameter.requires_grad_(required)
            parameter.grad = gradient


class Computed:
    """What the layers of `model` have computed and hold beside their parameters, such as norms, and their modes.

    Tensors are held, not copied: whoever computes anew puts another one in their place.
    """

    def __init__(self, model: nn.Module) -> None:
        outside = [module for module in model.modules() if not isinstance(module, Matrix)]
        self._buffers = [(module, dict(module._buffers)) for module in outside]
        self._attributes = [
            (module, {name: one for name, one in vars(module).items() if isinstance(one, HELD)}) for module in outside
        ]

    def put_back(self) -> None:
        """As it was."""
        for module, buffers in self._buffers:
            module._buffers.update(buffers)
        for module, attributes in self._attributes:
            vars(module).update(attributes)
