"""
5. Where the energy goes
========================

The ledger bills every event: pulses, verify reads, converters, lines, buffers, buses. Here is the same layer
on four chip designs, programmed once and read a thousand times.
"""

import matplotlib.pyplot as plt
import numpy as np
import torch

from crossbar_sim import Hardware, map_model

DESIGNS = ("milo2021_128x128", "wan2022_256x256", "neurram", "isaac_ce")
VECTORS = 1000

# %%
# `ledger.by_component` sums the bill of a phase. `deploy` is programming, `infer` is reading.

bills: dict[str, list[dict[str, float]]] = {"deploy": [], "infer": []}
for name in DESIGNS:
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(256, 256))
    chip = map_model(model, Hardware.load(name))
    with torch.no_grad(), chip.ledger.phase("infer"):
        model.eval()(torch.rand(VECTORS, 256))
    for phase, bill in bills.items():
        bill.append(chip.ledger.by_component(phase))

# %%
# Each bar is the whole bill of a design; components below one percent everywhere have no entry in the legend.

figure, axes = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
colours = plt.get_cmap("tab20").colors
for axis, bill in zip(axes, bills.values(), strict=True):
    totals = np.array([sum(parts.values()) for parts in bill])
    bottom = np.zeros(len(DESIGNS))
    for number, part in enumerate(bill[0]):
        shares = np.array([parts[part] for parts in bill]) / totals
        label = part if shares.max() > 0.01 else None
        axis.bar(range(len(DESIGNS)), shares, bottom=bottom, label=label, color=colours[number % 20], width=0.7)
        bottom += shares
    names = [name.replace("_", "\n", 1) for name in DESIGNS]
    labels = [f"{name}\n{total * 1e6:.3g} µJ" for name, total in zip(names, totals, strict=True)]
    axis.set_xticks(range(len(DESIGNS)), labels, fontsize=8)
    axis.legend(fontsize=7, loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)
axes[0].set(title="programming, once", ylabel="share of the energy")
axes[1].set(title=f"reading, {VECTORS} vectors")
plt.show()

# %%
# The designs state different things: `print(hardware)` says what is not billed. `isaac_ce` has buffers, bus
# and router in its bill, the first two do not describe such circuits, so their totals are lower bounds.
