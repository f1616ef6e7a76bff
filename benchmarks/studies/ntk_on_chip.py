"""Two studies of the kernel view: how well LoRA's kernel stands for the full one, and how well pulses are predicted.

``python -m benchmarks.studies.ntk_on_chip lora|pulses`` prints the table; --figure draws it.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from benchmarks.experiments.experiment import one_thread
from benchmarks.problems.backbones import load_backbone
from benchmarks.problems.tasks import few_shot, get_task
from crossbar_sim import DeviceModel, Hardware, map_model
from crossbar_sim.runtime.files import write_json, write_text
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


@dataclass(frozen=True)
class PulsePrediction:
    """Relative error of the predicted change of the outputs after 1, 2, ... steps of one pulse per cell.

    aware: the prediction knows the device's response; symmetric: it takes the mean step, up and down.
    """

    device: str
    full_swing_pulses: float
    aware: tuple[float, ...]
    symmetric: tuple[float, ...]


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
                data.train_images[::examples][:examples],
                data.train_labels[::examples][:examples],
                data.validation_images[:probes],
                weights,
                rule,
                steps=steps,
                chip=chip,
            )
        )
    aware_run, symmetric = ([run.relative_error(step) for step in range(1, steps + 1)] for run in runs)
    return PulsePrediction(device.name, cell.full_swing_pulses, tuple(aware_run), tuple(symmetric))


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line: one study, its table, and the figure or the numbers if asked for."""
    from benchmarks.reporting.figures.ntk import lora_kernel_figure, pulse_prediction_figure
    from benchmarks.reporting.figures.style import svg

    parser = argparse.ArgumentParser(prog="python -m benchmarks.studies.ntk_on_chip", description=__doc__)
    parser.add_argument("study", choices=["lora", "pulses"])
    parser.add_argument("--ranks", type=int, nargs="+", default=[4, 8, 16, 64, 256], help="lora: ranks")
    parser.add_argument("--layers", type=int, nargs="+", default=[1, 24, 144], help="lora: numbers of layers")
    parser.add_argument("--devices", nargs="+", default=["wu2018", "choi2018", "woo2016", "jo2010", "park2013"])
    parser.add_argument("--steps", type=int, default=2, help="pulses: steps of one pulse per cell")
    parser.add_argument("--swing", type=float, default=2000.0, help="pulses: over the window; 0: the device's own")
    parser.add_argument("--json", type=Path, help="write the numbers as JSON to this file")
    parser.add_argument("--figure", type=Path, help="draw the figure to this SVG file")
    options = parser.parse_args(arguments)
    with one_thread():
        if options.study == "lora":
            errors = lora_kernel_errors(options.ranks, options.layers)
            figure = lora_kernel_figure(errors)
            records = [
                {
                    "rank": rank,
                    "layers": count,
                    "relative_error": error,
                    "times_root_of_rank_and_layers": error * math.sqrt(rank * count),
                }
                for (rank, count), error in errors.items()
            ]
        else:
            devices = [DeviceModel.load(name) for name in options.devices]
            predictions = [predict_pulses(device, options.steps, options.swing or None) for device in devices]
            figure = pulse_prediction_figure(predictions)
            records = [asdict(one) for one in predictions]
    for record in records:
        print("  ".join(f"{key} {_shown(value)}" for key, value in record.items()))
    if options.json is not None:
        write_json(options.json, records)
    if options.figure is not None:
        write_text(options.figure, svg(figure) + "\n")


def _shown(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.3g}"
    return ", ".join(map(_shown, value)) if isinstance(value, tuple) else str(value)


if __name__ == "__main__":
    main()
