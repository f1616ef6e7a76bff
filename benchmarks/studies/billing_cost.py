"""What billing costs: the share of a training step that is spent on the bill, on 1T1R and on passive arrays.

`python -m benchmarks.studies.billing_cost` fine-tunes the default backbone in short turns, the designs interleaved,
and prints medians over the steps. Everything that ends in the ledger counts as billing, its counting included.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from time import perf_counter
from typing import Any
from unittest.mock import patch

from benchmarks.experiments.experiment import calibrate, one_thread
from benchmarks.problems.backbones import load_backbone
from benchmarks.problems.pools import POOL_FOLDER, load_pool
from benchmarks.problems.tasks import few_shot, get_task
from crossbar_sim import Chip, Hardware, map_model
from crossbar_sim.ledger.billing import MatrixBill
from peft_methods import METHODS, fine_tune
from peft_methods.methods import read_method
from peft_methods.methods.pooled import with_pool
from peft_methods.training.loop import History

TIMED = ("read", "write")


@dataclass
class Stopwatch:
    """Seconds inside the functions it is put around; what is nested counts once."""

    seconds: float = 0.0
    running: bool = False

    def around(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, timed."""

        def timed(*arguments: Any, **options: Any) -> Any:
            if self.running:
                return function(*arguments, **options)
            self.running, start = True, perf_counter()
            try:
                return function(*arguments, **options)
            finally:
                self.seconds += perf_counter() - start
                self.running = False

        return timed


class TimedChip(Chip):
    """A chip whose ledger times its entries."""

    def __init__(self, hardware: Hardware, seed: int = 0) -> None:
        super().__init__(hardware, seed)
        self.watch = Stopwatch()
        self.ledger.add = self.watch.around(self.ledger.add)  # type: ignore[method-assign]
        self.ledger.add_operation = self.watch.around(self.ledger.add_operation)  # type: ignore[method-assign]


def designs(name: str = "milo2021_128x128") -> dict[str, Hardware]:
    """A design with transistors at the cells, and without."""
    hardware = Hardware.load(name)
    return {access: hardware.replace(tile=hardware.tile.replace(access=access)) for access in ("1T1R", "passive")}


def step_times(method: str, hardware: Hardware, steps: int, seed: int) -> list[tuple[float, float]]:
    """(seconds, of which billing) of every training step but the first, which counts operations."""
    model = load_backbone()
    chip = map_model(model, TimedChip(hardware, seed))
    calibrate(model, chip)
    recipe = with_pool(read_method({"name": method, "steps": steps}), lambda: load_pool(POOL_FOLDER / "digits_vit"))
    adapter = recipe.attach(model, chip, seed)
    data, marks = few_shot(get_task("rot90"), 5, seed), []

    def mark(step: int, history: History) -> None:
        marks.append((perf_counter(), chip.watch.seconds))

    timed: dict[str, Any] = {name: chip.watch.around(getattr(MatrixBill, name)) for name in TIMED}
    with patch.multiple(MatrixBill, **timed):
        fine_tune(model, adapter, data.train_images, data.train_labels, seed=seed, on_step=mark)
    return [(after[0] - before[0], after[1] - before[1]) for before, after in pairwise(marks[1:])]


def billing_shares(methods: Sequence[str], steps: int = 8, turns: int = 3) -> list[dict[str, Any]]:
    """One record per method and design: median seconds of a step and of its billing, and the median share."""
    measured: dict[tuple[str, str], list[tuple[float, float]]] = {}
    with one_thread():
        for turn in range(turns):
            for method in methods:
                for access, hardware in designs().items():
                    measured.setdefault((method, access), []).extend(step_times(method, hardware, steps, turn))
    return [
        {
            "method": method,
            "access": access,
            "step_s": statistics.median(step for step, _ in times),
            "billing_s": statistics.median(bill for _, bill in times),
            "billing_share": statistics.median(bill / step for step, bill in times),
        }
        for (method, access), times in measured.items()
    ]


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print one line per method and design."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0] if __doc__ else None)
    parser.add_argument("--methods", nargs="+", default=["full-fine-tuning", "lora"], choices=list(METHODS))
    parser.add_argument("--steps", type=int, default=8, help="of one turn")
    parser.add_argument("--turns", type=int, default=3)
    options = parser.parse_args(arguments)
    for row in billing_shares(options.methods, options.steps, options.turns):
        print(
            f"{row['method']:<20}{row['access']:<10}step {row['step_s'] * 1e3:7.2f} ms   "
            f"billing {row['billing_s'] * 1e3:6.3f} ms   {row['billing_share']:6.2%}"
        )


if __name__ == "__main__":
    main()
