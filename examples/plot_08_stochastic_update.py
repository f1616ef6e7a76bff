"""
8. The stochastic update: training by pulse trains
==================================================

The stochastic update changes a whole matrix at once: rows and columns carry random pulse trains, and a cell
moves wherever both lines have a pulse in the same slot. No product is computed and no cell is read back. How
well does that train on devices whose steps differ?
"""

import matplotlib.pyplot as plt
import numpy as np
import torch

from crossbar_sim import Chip, DeviceModel, Hardware

DEVICES = ("gong2018_es", "gong2018_sb", "gong2022_om", "milo2021")
UPDATES, BATCH = 60, 10
base = Hardware.load("milo2021_128x128")

# %%
# Linear regression: the weights start at zero and should become `goal`. `matrix.update` takes inputs and
# output gradients.


def distances(device: DeviceModel) -> list[float]:
    """Root mean square of (weights - goal) after every update."""
    hardware = base.replace(device=device, name=f"{device.name}_128x128")
    torch.manual_seed(0)
    goal = torch.rand(10, 40) - 0.5
    matrix = Chip(hardware, seed=1).matrix("trained", torch.zeros(10, 40), np.ones(10))
    found = []
    for x in torch.randn(UPDATES, BATCH, 40):
        found.append(float((matrix.weight() - goal).square().mean().sqrt()))
        matrix.update(x, x @ (matrix.weight() - goal).T, learning_rate=0.01)
    return found


figure, axis = plt.subplots(figsize=(5.6, 3.6), layout="constrained")
for name in DEVICES:
    axis.plot(distances(DeviceModel.load(name)), label=name)
axis.set(xlabel="updates of ten samples each", ylabel="distance from the goal (weight)", ylim=(0, None))
axis.legend()
plt.show()

# %%
# Where a SET and a RESET pulse differ in size, updates that should cancel do not: training stops at a distance that
# the device decides, or moves away from the goal. Methods use this update with `update_rule="stochastic_pulses"`.
