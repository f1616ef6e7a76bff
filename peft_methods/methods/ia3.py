"""IA3 (Liu et al., NeurIPS 2022): a trained gain for every key, value and hidden value."""

from __future__ import annotations

from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import nn

from crossbar_sim.chip.interface import AnyChip
from peft_methods.adapted_layer import AdaptedLayer
from peft_methods.base import MergeableAdapter
from peft_methods.methods.targeted import TargetedMethod
from peft_methods.model_parts import LinearLike, linear_layers, product, weight_of
from peft_methods.placement import Placement, bill_arithmetic, bill_sram
from peft_methods.tuning import Range, Ranges


class IA3(TargetedMethod):
    """y = l o (W x + b) for `targets`, a gain after the ADC; y = W (l o x) + b for `feed_forward`, one before the DAC.

    l starts at one. An input gain has one value per hidden unit, an output gain one per output; it scales keys and
    values whole, l o K, as in the paper and PEFT. `gain_on_bias = false`: y = l o (W x) + b, which merges into W alone.
    """

    name: ClassVar[str] = "ia3"
    label: ClassVar[str] = "IA3"
    papers: ClassVar[tuple[str, ...]] = ("liu2022",)
    writes_cells: ClassVar[bool] = False
    transposed_reads: ClassVar[bool] = True
    extra_reads: ClassVar[str] = "none"
    searched: ClassVar[Ranges] = {"learning_rate": Range(3e-3, 2e-1)}

    targets: tuple[str, ...] = ("key", "value")
    feed_forward: tuple[str, ...] = ("down",)
    gain_on_bias: bool = True
    learning_rate: Annotated[float, Field(gt=0)] = 2e-2

    def placements(self) -> dict[str, Placement]:
        return {"gains": "sram"}

    def make_adapter(self, model: nn.Module, chip: AnyChip, seed: int) -> IA3Adapter:
        adapter = IA3Adapter(self, model, chip)
        before, behind = self.named(model, "feed_forward", "feed_forward"), self.named(model, "targets", "gains")
        inputs = linear_layers(model, before) if before else {}
        outputs = linear_layers(model, behind) if behind else {}
        for name, base in self.among({**outputs, **inputs}).items():
            adapter.layers[name] = GainLinear(base, name in inputs, self.gain_on_bias, chip)
            adapter.replace(name, adapter.layers[name])
        adapter.train([layer.gain for layer in adapter.layers.values()], self.learning_rate, self.weight_decay)
        return adapter


class GainLinear(AdaptedLayer):
    """A linear layer with a trained gain on its inputs or on its outputs (before the bias, or behind it)."""

    base: LinearLike

    def __init__(self, base: LinearLike, on_inputs: bool, on_bias: bool, chip: AnyChip) -> None:
        super().__init__(base)
        self.on_inputs = on_inputs
        self.on_bias = on_bias
        self.chip = chip
        weight = weight_of(base)
        self.gain = nn.Parameter(weight.new_ones(weight.shape[1 if on_inputs else 0]), requires_grad=False)

    @property
    def calls_base(self) -> bool:
        return False

    def adapted(self, x: torch.Tensor) -> torch.Tensor:
        values = x.numel() // x.shape[-1] * self.gain.numel()
        bill_arithmetic(self.chip, "IA3", multiplies=values)
        bill_sram(self.chip, "IA3", reads=values)
        bias = self.base.bias
        if self.on_inputs:
            y = product(self.base, (self.gain * x).to(x.dtype))
        elif self.on_bias and bias is not None:
            return self.gain * (product(self.base, x) + bias)
        else:
            y = self.gain * product(self.base, x)
        return y if bias is None else y + bias


class IA3Adapter(MergeableAdapter):
    """IA3 on the chosen layers of one model."""

    def __init__(self, method: IA3, model: nn.Module, chip: AnyChip) -> None:
        super().__init__(method, model, chip)
        self.layers: dict[str, GainLinear] = {}

    def delta_weights(self) -> dict[str, torch.Tensor]:
        deltas = {}
        for name, layer in self.layers.items():
            change = layer.gain.detach() - 1
            deltas[name] = (change if layer.on_inputs else change[:, None]) * weight_of(layer.base).detach()
        return deltas

    def delta_biases(self) -> dict[str, torch.Tensor]:
        scaled = {name: layer for name, layer in self.layers.items() if layer.on_bias and not layer.on_inputs}
        return {
            name: (layer.gain.detach() - 1) * layer.base.bias.detach()
            for name, layer in scaled.items()
            if layer.base.bias is not None
        }
