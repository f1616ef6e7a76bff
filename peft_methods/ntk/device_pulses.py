"""One pulse per cell as a device answers it: the step follows its measured pulse response, up and down.

In a differential pair the conducting cell takes the pulse. A SET moves a weight away from zero, a RESET towards it, and
both steps depend on where the cell stands:

    SET from x:    |w| grows by   (R / window) set_step(x),             x = |w| window / R
    RESET from x:  |w| falls by   (R / window) reset_step(window - x)

with the steps of `DeviceModel.steps`, by a non-linearity label or a step law. Half the difference of
the two is the asymmetry of `PulseRule`, which here differs from cell to cell.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from crossbar_sim import DeviceModel
from peft_methods.ntk.gradients import Parameters, split


@dataclass(frozen=True)
class DevicePulses:
    """Pulses of `device` on weights whose cells hold up to `largest` (`ntk.pulses.chip_limits`), by parameter name.

    Parameters without an entry are not on tiles: no pulse reaches them. A cell stops at the ends of its window.
    """

    device: DeviceModel
    largest: dict[str, Tensor]

    def steps(self, share: Tensor) -> tuple[Tensor, Tensor]:
        """How far a SET and a RESET pulse move a cell that stands at a share (0 to 1) of its window; in shares."""
        device = self.device
        window = device.window
        reached = (share * window).numpy()
        set_step = torch.from_numpy(device.steps()(reached))
        reset_step = torch.from_numpy(device.steps(reset=True)(window - reached))
        return torch.minimum(set_step / window, 1 - share), torch.minimum(reset_step / window, share)

    def change(self, parameters: Parameters, gradient: Tensor) -> Tensor:
        """The change (P,) of all weights by one pulse each against `gradient` (P,); no pulse where it is zero."""
        parts = []
        for name, part in split(parameters, gradient).items():
            if name not in self.largest:
                parts.append(torch.zeros(part.numel(), dtype=part.dtype))
                continue
            weight = parameters[name].detach()
            direction = -part.sign()
            largest = self.largest[name]
            grow, fall = self.steps((weight.abs() / largest).clamp(0, 1))
            moved = direction * torch.where(direction * weight >= 0, grow, fall) * largest
            parts.append(moved.flatten())
        return torch.cat(parts)
