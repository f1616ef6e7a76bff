"""
3. Wires: how large may an array be?
====================================

Word lines and bit lines have a resistance of their own, so cells far from the drivers see less than the read
voltage. The simulator solves the resistor network exactly, once per programming. How much of the current is
left as arrays grow?
"""

import matplotlib.pyplot as plt
import numpy as np

from crossbar_sim import effective_conductance

SIZES = (8, 16, 32, 64, 96, 128)
READ_VOLTAGE = 0.2  # volt

# %%
# `effective_conductance` returns the matrix M of I = M V, wires included. Cells stand anywhere between 1 and
# 100 µS; every word line is driven. The second panel looks at the error of single bit lines, for inputs of
# many sizes.

generator = np.random.default_rng(0)
figure, (current, error) = plt.subplots(1, 2, figsize=(8, 3.4), layout="constrained")
for ohm in (0.35, 1.0, 3.5):
    left, missed = [], []
    for size in SIZES:
        cells = generator.uniform(1e-6, 100e-6, (size, size))
        seen = effective_conductance(cells, word_line_resistance=ohm, bit_line_resistance=ohm)
        driven = np.full(size, READ_VOLTAGE)
        left.append((seen @ driven).sum() / (cells.T @ driven).sum())
        volts = generator.uniform(0, READ_VOLTAGE, (size, 32))
        ideal, exact = cells.T @ volts, seen @ volts
        missed.append(np.sqrt(((ideal - exact) ** 2).mean() / (exact**2).mean()))
    current.plot(SIZES, left, "o-", label=f"{ohm} ohm per segment")
    error.plot(SIZES, missed, "o-", label=f"{ohm} ohm per segment")
current.set(xlabel="rows = columns", ylabel="share of the ideal current", ylim=(0, 1.02))
error.set(xlabel="rows = columns", ylabel="error of a read that ignores wires", ylim=(0, None))
current.legend(fontsize=8)
plt.show()

# %%
# A read then costs the same as without wires: one product with M. The `[tile]` of a hardware file switches
# wires on with `word_line_resistance` and `bit_line_resistance`.
