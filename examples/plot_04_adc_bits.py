"""
4. How many bits does the ADC need?
===================================

Every output of a tile passes an ADC. More bits cost energy; too few drown the product. The answer depends on
everything else in the array, so non-idealities are switched on one after the other.
"""

import matplotlib.pyplot as plt
import torch

from crossbar_sim import Hardware, calibrate, map_model

BITS = tuple(range(3, 13))
base = Hardware.load("milo2021_128x128")
designs = {
    "ADC alone": base.without("levels", "programming_error", "read_noise", "dac"),
    "ADC and DAC": base.without("levels", "programming_error", "read_noise"),
    "with read noise": base.without("levels", "programming_error"),
    "everything": base,
}

# %%
# One linear layer of 256 inputs, two tiles deep. `calibrate` sets every range register to the data; the error
# is that of the outputs, relative to their root mean square.

torch.manual_seed(0)
layer = torch.nn.Linear(256, 64, bias=False)
x = torch.randn(256, 256)
exact = (x @ layer.weight.T).detach()


def relative_error(hardware: Hardware) -> float:
    """Root mean square of (tiles - digital), over that of the digital outputs."""
    model = torch.nn.Sequential(torch.nn.Linear(256, 64, bias=False))
    model[0].weight.data.copy_(layer.weight)
    map_model(model, hardware)
    calibrate(model, x, hold=True)
    with torch.no_grad():
        return float((model(x) - exact).square().mean().sqrt() / exact.square().mean().sqrt())


figure, axis = plt.subplots(figsize=(5.6, 3.6), layout="constrained")
for name, hardware in designs.items():
    errors = [relative_error(hardware.replace(adc=hardware.adc.replace(bits=bits))) for bits in BITS]
    axis.semilogy(BITS, errors, "o-", label=name)
axis.set(xlabel="ADC bits", ylabel="relative error of the outputs")
axis.legend()
plt.show()

# %%
# Alone, each bit halves the error. With the cells' own errors there is a floor, and bits beyond the knee buy
# nothing: `Hardware.adc.energy` says what they would cost.
