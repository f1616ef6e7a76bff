"""Two studies of the neural tangent kernel on a chip: how well LoRA's kernel stands for the full one, and how well
the effect of pulses is predicted."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch

from benchmarks.problems.backbones import load_backbone
from benchmarks.problems.tasks import few_shot, get_task
from benchmarks.record import Record
from benchmarks.studies.base import Findings, Study
from crossbar_sim import DeviceModel, Hardware, map_model
from crossbar_sim.runtime.threads import one_thread
from peft_methods.ntk.device_pulses import DevicePulses
from peft_methods.ntk.pulses import PulseRule, chip_limits, chip_steps, pulse_training

ERROR_AT_ONE = 1.55  # relative error x sqrt(rank x modules), for 32 inputs and width 64


def lora_kernel_error(rank: int, modules: int, seed: int, inputs: int = 32, width: int = 64) -> float:
    """|K_LoRA - K| / |K| (Frobenius) of one draw of A ~ N(0, 1/rank) at B = 0, summed over layers with random x and
    delta: K = sum (delta . delta')(x . x'), K_LoRA = sum (delta . delta')(A x . A x')."""
    generator = torch.Generator().manual_seed(seed)
    full, lora = torch.zeros(inputs, inputs), torch.zeros(inputs, inputs)
    for _ in range(modules):
        x, delta = (torch.randn(2, inputs, width, generator=generator) / math.sqrt(width)).unbind()
        a = torch.randn(rank, width, generator=generator) / math.sqrt(rank)
        full += (delta @ delta.T) * (x @ x.T)
        lora += (delta @ delta.T) * (x @ a.T @ a @ x.T)
    return float((lora - full).norm() / full.norm())


def lora_kernel_errors(
    ranks: Sequence[int] = (4, 8, 16, 64, 256), modules: Sequence[int] = (1, 24, 144), draws: int = 4
) -> dict[tuple[int, int], float]:
    """Mean error by (rank, modules)."""
    return {
        (rank, count): sum(lora_kernel_error(rank, count, 1000 * rank + 10 * count + draw) for draw in range(draws))
        / draws
        for rank in ranks
        for count in modules
    }


class LoRAKernelError(Record):
    """How far LoRA's kernel is from the full one."""

    rank: int
    """Of LoRA."""
    layers: int
    """Adapted layers."""
    relative_error: float
    """|K_LoRA - K| / |K|, mean over the draws."""
    times_root_of_rank_and_layers: float
    """About the same for all, if the law holds."""


class PulsePrediction(Record):
    """Relative error of the predicted change of the outputs after 1, 2, ... steps of one pulse per cell."""

    device: str
    """Its name."""
    full_swing_pulses: float
    """Pulses over the window."""
    aware: tuple[float, ...]
    """The prediction knows the device's response."""
    symmetric: tuple[float, ...]
    """The prediction takes the mean step, up and down."""


def predict_pulses(
    device: DeviceModel,
    steps: int,
    full_swing_pulses: float | None = None,
    *,
    spread: bool = False,
    task: str = "fliplr+dim",
    examples: int = 3,
    probes: int = 5,
    seed: int = 0,
) -> PulsePrediction:
    """Train the digits backbone on tiles of `device` with one pulse per cell and step, and predict it beforehand.

    The cells are programmed open loop and continuously, everything else is ideal. full_swing_pulses: pulses over the
    window instead of the device's own, along the same curve (in the same ratio for RESET); spread: keep the variation
    from pulse to pulse.
    """
    ideal = Hardware.load("milo2021_128x128").ideal()
    scale = 1.0 if full_swing_pulses is None else full_swing_pulses / device.full_swing_pulses
    cell = device.replace(
        programming="open_loop",
        levels=None,
        programming_error=None,
        read_noise=None,
        provenance={},
        retention=None,
        lifetime=None,
        stuck_at_lrs=None,
        stuck_at_hrs=None,
        full_swing_pulses=scale * device.full_swing_pulses,
        reset_full_swing_pulses=scale * device.reset_pulses_full_swing,
        **({} if spread else {"cycle_to_cycle": 0.0, "cycle_to_cycle_window": None, "device_to_device": None}),
    )
    data = few_shot(get_task(task), examples, seed)
    runs = []
    for aware in (True, False):
        model = load_backbone()
        chip = map_model(model, ideal.replace(device=cell), seed=seed)
        weights = {name: value for name, value in model.named_parameters() if name.endswith("matrix.master")}
        limits = chip_limits(weights, chip)
        rule = DevicePulses(cell, limits) if aware else PulseRule(chip_steps(weights, chip), limit=limits)
        runs.append(
            pulse_training(
                model,
                data.train.tensor[::examples][:examples],
                data.train.labels[::examples][:examples],
                data.validation.tensor[:probes],
                weights,
                rule,
                steps=steps,
                chip=chip,
            )
        )
    aware_run, symmetric = ([run.relative_error(step) for step in range(1, steps + 1)] for run in runs)
    return PulsePrediction(
        device=device.name,
        full_swing_pulses=cell.full_swing_pulses,
        aware=tuple(aware_run),
        symmetric=tuple(symmetric),
    )


class LoRAKernelFindings(Findings[LoRAKernelError]):
    """One record per rank and number of layers."""

    def __str__(self) -> str:
        return "\n".join(map(_line, self.records))


class PulseFindings(Findings[PulsePrediction]):
    """One record per device."""

    def __str__(self) -> str:
        return "\n".join(map(_line, self.records))


@dataclass(frozen=True)
class NTKOnChip(Study):
    """LoRA's kernel against the full one, or predicted pulses against simulated ones."""

    question: Literal["lora", "pulses"]
    """Which of the two."""
    ranks: tuple[int, ...] = (4, 8, 16, 64, 256)
    """lora: ranks."""
    layers: tuple[int, ...] = (1, 24, 144)
    """lora: numbers of layers."""
    devices: tuple[str, ...] = ("wu2018", "choi2018", "woo2016", "jo2010", "park2013")
    """pulses: names or TOML files."""
    steps: int = 2
    """pulses: steps of one pulse per cell."""
    full_swing_pulses: float = 2000.0
    """pulses: over the window; 0: the device's own."""

    def run(self) -> LoRAKernelFindings | PulseFindings:
        """Draw kernels, or train with pulses."""
        with one_thread():
            if self.question == "lora":
                return lora_kernel_findings(self.ranks, self.layers)
            devices = [DeviceModel.load(name) for name in self.devices]
            pulses = self.full_swing_pulses or None
            return PulseFindings(tuple(predict_pulses(device, self.steps, pulses) for device in devices))


def lora_kernel_findings(ranks: Sequence[int], layers: Sequence[int], draws: int = 4) -> LoRAKernelFindings:
    """`lora_kernel_errors` as records."""
    return LoRAKernelFindings(
        tuple(
            LoRAKernelError(
                rank=rank,
                layers=count,
                relative_error=error,
                times_root_of_rank_and_layers=error * math.sqrt(rank * count),
            )
            for (rank, count), error in lora_kernel_errors(ranks, layers, draws).items()
        )
    )


def _line(record: Record) -> str:
    return "  ".join(f"{name} {_shown(getattr(record, name))}" for name in type(record).model_fields)


def _shown(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.3g}"
    return ", ".join(map(_shown, value)) if isinstance(value, tuple) else str(value)
