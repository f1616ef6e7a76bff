"""What a step law is: how far one pulse moves a cell on average, by where the cell stands."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from crossbar_sim.devices.laws import SourcedLaw
from crossbar_sim.devices.pulse_response.compiled import exponential_move, linear_move


class Steps(NamedTuple):
    """A pulse at x siemens from the end it starts at moves a cell by step + rate (reach - x) + bulge exp(-fall x).

    step: the part that is the same everywhere, siemens
    rate: share of the way to `reach` that one pulse goes
    reach: where the linear part leads, siemens from the starting end
    bulge: size of the exponential part at the starting end, siemens
    fall: how fast it falls off, per siemens
    end: no open-loop train aims farther, siemens from the starting end
    """

    step: float = 0.0
    rate: float = 0.0
    reach: float = 0.0
    bulge: float = 0.0
    fall: float = 0.0
    end: float = math.inf

    def __call__(self, distance: NDArray[np.floating]) -> NDArray[np.floating]:
        """Mean move of one pulse, siemens, at `distance` siemens from the starting end."""
        move = linear_move.py_func(self, distance)
        return np.asarray(move + exponential_move.py_func(self, distance, np.exp) if self.bulge else move)

    def after(self, pulses: NDArray[np.float64], window: float) -> NDArray[np.float64]:
        """Siemens from the starting end after `pulses`, pulse by pulse; between two pulses a straight line."""
        distance = [0.0]
        for _ in range(math.ceil(np.max(pulses, initial=0))):
            distance.append(min(distance[-1] + float(self(np.array(distance[-1]))), window))
        return np.interp(pulses, np.arange(len(distance)), distance)


class StatedSteps(SourcedLaw, ABC):
    """A step law as a device states it, with its source: the interface of every law in this folder.

    `pulses` nominal pulses lead from one end of the window to the other, the nominal step is window / pulses.
    """

    adds_up: ClassVar[bool] = True
    """Whether many weak pulses add up in closed form, as a disturbance needs."""

    @abstractmethod
    def steps(self, pulses: float, window: float, reset: bool) -> Steps:
        """The law in siemens, of SET or RESET pulses, for a window of so many siemens."""
