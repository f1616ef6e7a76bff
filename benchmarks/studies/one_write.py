"""One write against many steps: a kernel solution programmed once on a chip, beside fine-tuning on the same chip.

`python -m benchmarks.studies.one_write` reads the training images once, solves one linear system, programs the change
of the chosen weights on fresh tiles, once, and reads the linearised network (`ntk.linearised`). Accuracy, energy and
wear come from one simulated chip, as they do in every experiment; the rows beside it are such experiments.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from torch import nn

from benchmarks.experiments.experiment import Experiment, bill, calibrate, one_thread, simulate
from benchmarks.problems.backbones import load_backbone
from benchmarks.problems.tasks import few_shot, get_task
from crossbar_sim import Chip, CrossbarError, Hardware, map_model
from crossbar_sim.runtime.files import write_json
from crossbar_sim.spec.units import engineering
from peft_methods import FullFineTuning, LinearProbe, LoRA, LoRAFA, Method, accuracy
from peft_methods.methods.low_rank import LowRankAdapter
from peft_methods.model_parts import LinearLike, all_linear_layers, linear_layers
from peft_methods.ntk.fit import TangentKernel, tangent_kernel
from peft_methods.ntk.gradients import Parameters, split, subspace, write_once
from peft_methods.ntk.linearised import linearise
from peft_methods.placement import bill_arithmetic, bill_sram
from peft_methods.training.digital_operations import DigitalOperations
from peft_methods.training.loop import History, programming_energy

Written = Literal["head", "lora", "weights"]
WRITTEN: tuple[Written, ...] = ("head", "lora", "weights")
RANK, ALPHA = 4, 8.0
TARGET_SIZE = 30.0
RIDGES: Mapping[Written, float] = {"head": 1e-2, "lora": 1e-3, "weights": 1e-3}
FINE_TUNING: Mapping[str, Method] = {
    "head": LinearProbe(),
    "lora": LoRA(rank=RANK, alpha=ALPHA),
    "weights": FullFineTuning(),
}
SHOWN = (
    "accuracy",
    "adapt_cells_written",
    "max_task_writes_per_cell",
    "reprogramming_energy_J",
    "adapt_energy_J",
    "inference_energy_J",
    "adapt_time_s",
)


def one_write(
    written: Written,
    task: str,
    shots: int,
    seed: int,
    hardware: Hardware,
    *,
    ridge: float | None = None,
    size: float = TARGET_SIZE,
    split_name: Literal["test", "validation"] = "test",
) -> dict[str, Any]:
    """The record of one seed: read, solve, write once, infer.

    written: what changes: the digital 'head' (no cell is written), LoRA's B over a random A ('lora'), or the 'weights'
    of all layers in blocks. The cells of the backbone stay as they were deployed.
    """
    data = few_shot(get_task(task), shots, seed)
    model: nn.Module = load_backbone()
    chip = map_model(model, hardware, seed=seed)
    calibrate(model, chip)
    mark = chip.mark_writes()
    layers = all_linear_layers(model)
    adapter, parameters = _parameters(model, written, chip, seed)
    model.train()
    kernel = tangent_kernel(model, data.train_images, parameters, chip=chip, count=DigitalOperations(chip))
    fit = kernel.ridge(data.train_labels, RIDGES[written] if ridge is None else ridge, size=size)
    with chip.ledger.phase("adapt/update"):
        bill_solution(chip, kernel)
        before = chip.ledger.writes("adapt")
        changed = _deploy(model, layers, adapter, parameters, fit.written(), chip)
        cells = chip.ledger.writes("adapt") - before
    with torch.no_grad(), chip.ledger.phase("adapt/forward"):
        changed.train()
        changed(data.train_images)  # sets the ranges of the new tiles' converters
    images, labels = {
        "test": (data.test_images, data.test_labels),
        "validation": (data.validation_images, data.validation_labels),
    }[split_name]
    right = accuracy(changed, images, labels, chip)
    history = History(cells_written=[cells], programming_energy=[programming_energy(chip)])
    return {
        "seed": seed,
        "accuracy": right,
        "trained_values": sum(value.numel() for value in parameters.values()),
        **bill(chip, history, chip.writes_since(mark)),
        "inferences": len(images),
    }


def _parameters(model: nn.Module, written: Written, chip: Chip, seed: int) -> tuple[LowRankAdapter | None, Parameters]:
    """What may move, by names; LoRA's A is put on tiles (phase 'pool') with B = 0 beside them."""
    if written == "head":
        return None, subspace(model, "head")
    if written == "weights":
        chosen = {id(layer.weight): name for name, layer in linear_layers(model, None).items()}
        return None, {chosen[id(value)]: value for value in model.parameters() if id(value) in chosen}
    adapter = LoRAFA(rank=RANK, alpha=ALPHA).attach(model, chip, seed=seed)
    return adapter, {name: layer.b.master for name, layer in adapter.layers.items()}


def _deploy(
    model: nn.Module,
    layers: Mapping[str, LinearLike],
    adapter: LowRankAdapter | None,
    parameters: Parameters,
    change: torch.Tensor,
    chip: Chip,
) -> nn.Module:
    """Program every change on tiles of its own and read the linearised network; the digital head is simply changed."""
    if "head.weight" in parameters:
        write_once(model, parameters, change)
        return model
    products: dict[str, nn.Module] = {}
    for name, part in split(parameters, change.detach()).items():
        if adapter is None:
            products[name] = chip.matrix(f"{name}.change", part)
        else:
            low_rank = adapter.layers[name]
            products[name] = nn.Sequential(low_rank.a, chip.matrix(f"{name}.change", low_rank.scaling * part))
    return linearise(model, layers, products)


def bill_solution(chip: Chip, kernel: TangentKernel) -> None:
    """The digital work of kernel regression: the symmetric kernel, a Cholesky solution, the combined gradients.

    Every gradient word is written to SRAM once and read twice: for the kernel and for the change.
    """
    size, values = len(kernel.gram), kernel.rows.shape[2]
    products = size * (size + 1) // 2 * values + size**3 // 6 + size**2 + size * values
    bill_arithmetic(chip, "kernel", adds=products, multiplies=products)
    bill_sram(chip, "kernel", reads=2 * size * values, writes=size * values)


def step_by_step(method: Method, task: str, shots: int, seed: int, hardware: Hardware) -> dict[str, Any]:
    """The record of one seed of an ordinary experiment."""
    return simulate(
        Experiment(method=method, hardware=hardware, task=task, shots_per_class=shots, seeds=(seed,), curve_points=0),
        seed,
    )


def summary(name: str, records: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Means over the seeds; wear is that of the worst cell of any seed."""
    rows = [
        {
            **record,
            "adapt_energy_J": record["energy_by_phase_J"]["adapt"],
            "inference_energy_J": record["energy_by_phase_J"]["infer"] / record["inferences"],
        }
        for record in records
    ]
    means: dict[str, Any] = {key: statistics.fmean(float(row[key]) for row in rows) for key in SHOWN}
    means["max_task_writes_per_cell"] = max(int(row["max_task_writes_per_cell"]) for row in rows)
    return {"method": name, "seeds": [row["seed"] for row in rows], **means}


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """One line per method, in engineering units."""
    lines = [f"{'method':<30}{'accuracy':>9}{'cells':>9}{'worst':>6}{'writing':>10}{'adapting':>10}{'inference':>11}"]
    lines += [
        f"{row['method']:<30}{row['accuracy']:>9.1%}{row['adapt_cells_written']:>9,.0f}"
        f"{row['max_task_writes_per_cell']:>6}{engineering(row['reprogramming_energy_J'], 'J'):>10}"
        f"{engineering(row['adapt_energy_J'], 'J'):>10}{engineering(row['inference_energy_J'], 'J'):>11}"
        for row in rows
    ]
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line: print the table, write it as JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.studies.one_write", description=__doc__)
    parser.add_argument("--written", nargs="+", choices=WRITTEN, default=list(WRITTEN))
    parser.add_argument("--task", default="fliplr+dim")
    parser.add_argument("--shots", type=int, default=5, help="training images per class")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--hardware", default="milo2021_128x128")
    parser.add_argument("--json", type=Path, help="write the rows as JSON to this file")
    options = parser.parse_args(arguments)
    try:
        hardware, rows = Hardware.load(options.hardware), []
        with one_thread():
            for written in options.written:
                once = [one_write(written, options.task, options.shots, seed, hardware) for seed in options.seeds]
                rows.append(summary(f"one write: {written}", once))
                method = FINE_TUNING[written]
                steps = [step_by_step(method, options.task, options.shots, seed, hardware) for seed in options.seeds]
                rows.append(summary(f"{method.steps} steps: {method.display_name}", steps))
    except CrossbarError as error:
        parser.exit(1, f"{parser.prog}: {error}\n")
    print(table(rows))
    if options.json is not None:
        write_json(options.json, rows)


if __name__ == "__main__":
    main()
