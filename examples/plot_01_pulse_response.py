"""
1. Pulse response of published devices
======================================

How far does a cell move with each programming pulse? Every published device answers differently: some move in
equal steps, others do most of the way with the first pulses. The simulator takes the measured curve of each.
"""

import matplotlib.pyplot as plt
import numpy as np

from crossbar_sim import DeviceModel

NAMES = ("milo2021", "wu2018", "choi2018", "jo2010", "gong2018_es", "gong2022_om")

# %%
# `response` gives the mean conductance after a number of pulses, in siemens. SET pulses start at the bottom
# of the window, RESET pulses at its top. To compare devices, both axes are shares: of the pulses that cross
# the window, of the window.

figure, (up, down) = plt.subplots(1, 2, figsize=(8, 3.4), sharey=True, layout="constrained")
share = np.linspace(0, 1, 101)
for name in NAMES:
    device = DeviceModel.load(name)
    for axis, reset, pulses in (
        (up, False, device.full_swing_pulses),
        (down, True, device.reset_full_swing_pulses or device.full_swing_pulses),
    ):
        conductance = device.response(share * pulses, reset=reset)
        axis.plot(share, (conductance - device.g_min) / device.window, label=f"{name}, {pulses:.0f} pulses")
up.set(title="SET", xlabel="pulses / pulses over the window", ylabel="place in the conductance window")
down.set(title="RESET", xlabel="pulses / pulses over the window")
up.legend(fontsize=7, loc="lower right")
down.legend(fontsize=7, loc="upper right")
plt.show()

# %%
# Blind pulses (without verify reads) inherit this curve: where SET and RESET bend differently, a step up and
# a step down do not cancel. `xbar device show NAME --plot FILE.svg` draws one device with the spread of its
# cells.
