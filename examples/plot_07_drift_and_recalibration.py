"""
7. Drift, and how fine-tuning wins it back
==========================================

Conductances of phase-change cells drift after they were programmed. The accuracy of a deployed network falls
with them. A few labelled images and a handful of trained biases, which live in SRAM, bring most of it back
without programming a single cell.
"""

import matplotlib.pyplot as plt
import torch

from benchmarks.problems.backbones import load_backbone
from benchmarks.problems.tasks import base_data
from crossbar_sim import DeviceModel, Hardware, calibrate, map_model
from peft_methods import BitFit, accuracy, fine_tune

HOUR, DAY, YEAR = 3600, 86_400, 31_536_000
TIMES = (1, HOUR, DAY, 30 * DAY, YEAR)

# %%
# The chip is that of `milo2021_128x128` with other cells. `chip.wait` lets time pass.

hardware = Hardware.load("milo2021_128x128").replace(device=DeviceModel.load("joshi2020"), name="joshi2020_128x128")
data = base_data()
test_images, test_labels = data.test.tensor[:200], data.test.labels[:200]
model = load_backbone("digits_vit")
chip = map_model(model, hardware, seed=0)
calibrate(model, data.train.tensor[:64], hold=True)

seconds, measured = 0, []
for moment in TIMES:
    chip.wait(moment - seconds)
    seconds = moment
    measured.append(accuracy(model, test_images, test_labels, chip))

# %%
# A year later fifty images are at hand, and the biases are fine-tuned on the drifted cells.

adapter = BitFit(steps=40).attach(model, chip)
torch.manual_seed(0)
history = fine_tune(model, adapter, data.train.tensor[:50], data.train.labels[:50])
recovered = accuracy(model, test_images, test_labels, chip)
print(f"{measured[-1]:.3f} before, {recovered:.3f} after; {chip.ledger.writes('adapt')} cells written")

figure, axis = plt.subplots(figsize=(5.6, 3.4), layout="constrained")
axis.semilogx(TIMES, measured, "o-", label="as deployed")
axis.plot(YEAR, recovered, "s", color="tab:green", markersize=9, label="biases fine-tuned on 50 images")
axis.set_xticks(TIMES, ["1 s", "1 h", "1 day", "1 month", "1 year"])
axis.minorticks_off()
axis.set(xlabel="time since programming", ylabel="test accuracy", ylim=(0, 1))
axis.legend(loc="lower left")
plt.show()
