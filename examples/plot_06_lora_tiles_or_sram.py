"""
6. LoRA on tiles or in SRAM: accuracy, energy and wear
======================================================

The factors of LoRA can stand on tiles, where every change programs cells, or in SRAM, where they cost digital
arithmetic instead. One experiment each tells what that means for accuracy, energy and wear, beside full fine-
tuning, which rewrites the backbone.
"""

import tempfile
from pathlib import Path

import matplotlib.pyplot as plt

from benchmarks import Experiment
from crossbar_sim import Hardware
from peft_methods import FullFineTuning, LoRA

STEPS = 40
hardware = Hardware.load("milo2021_128x128")
methods = {
    "full fine-tuning": FullFineTuning(steps=STEPS),
    "LoRA, tiles": LoRA(rank=4, steps=STEPS),
    "LoRA, SRAM": LoRA(rank=4, steps=STEPS, placement="sram"),
}

# %%
# A vision transformer for digits is fine-tuned for mirrored and dimmed ones, five images of each class.
# Results are files; this example keeps them in a temporary folder, a real one belongs in `runs`.

with tempfile.TemporaryDirectory() as runs:
    records = {
        name: Experiment(method=method, hardware=hardware, seeds=(0,), curve_points=0).run(Path(runs)).record()
        for name, method in methods.items()
    }

# %%
# All three numbers come from the same simulated writes.

panels = (
    ("accuracy_mean", 1, "test accuracy"),
    ("reprogramming_energy_J", 1e6, "reprogramming energy (µJ)"),
    ("total_energy_J", 1e3, "total energy (mJ)"),
    ("max_task_writes_per_cell", 1, "writes of the worst cell"),
)
figure, axes = plt.subplots(1, len(panels), figsize=(10, 3), layout="constrained")
for axis, (key, scale, label) in zip(axes, panels, strict=True):
    values = [getattr(record, key) * scale for record in records.values()]
    bars = axis.bar(range(len(values)), values, color=("tab:orange", "tab:blue", "tab:green"))
    axis.bar_label(bars, fmt="%.3g", fontsize=8)
    axis.set_xticks(range(len(values)), records, rotation=25, ha="right", fontsize=8)
    axis.set_title(label, fontsize=9)
    axis.margins(y=0.15)
plt.show()

# %%
# In SRAM no cell is written and none wears, but every read pays for digital products. One seed and settings that
# are not tuned say little about accuracy: `xbar compare all_methods` compares all methods, tuned, with five seeds.
