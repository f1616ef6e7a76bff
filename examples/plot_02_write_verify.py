"""
2. Write-verify: pulses, energy and the error that stays
========================================================

A cell is programmed by pulses with verify reads in between. How many pulses does that take, what do they
cost, and how far from its target does the cell end? One write of a random matrix answers all three.
"""

import matplotlib.pyplot as plt
import numpy as np
import torch

from crossbar_sim import Chip, Hardware

DESIGNS = ("milo2021_128x128", "wan2022_256x256")

# %%
# A matrix of zeros is deployed, then random weights are written. `program()` writes the cells whose target
# level differs and returns what happened to each of them.

figure, axes = plt.subplots(2, 2, figsize=(8, 5.4), layout="constrained")
for (left, right), name in zip(axes, DESIGNS, strict=True):
    hardware = Hardware.load(name)
    device = hardware.device
    torch.manual_seed(0)
    matrix = Chip(hardware).matrix("example", torch.zeros(128, 128), scale=np.ones(128))
    matrix.master.data.copy_(2 * torch.rand(128, 128) - 1)
    written = matrix.program()

    left.hist(written.pulses, bins=np.arange(0, np.percentile(written.pulses, 99.5) + 2), color="tab:blue")
    left.set(xlabel="pulses per written cell", ylabel="cells", title=f"{name}: {written.count} cells written")

    right.hist(written.achieved * 1e6, bins=200, color="tab:orange")
    for level in np.linspace(device.g_min, device.g_max, device.levels):
        right.axvline(level * 1e6, color="black", linewidth=0.5, alpha=0.5)
    right.set(xlabel="conductance that was achieved (µS)", title=f"{written.energy.mean() * 1e9:.2f} nJ per cell")
plt.show()

# %%
# Lines are the levels of the device. Every level takes pulses of its own number, all the more the higher it lies;
# the pulses are the energy. What a cell misses its line by stays: every later read sees it.
