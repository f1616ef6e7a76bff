"""Half-select disturbance of passive arrays: cells that share a line with a programmed cell move a little."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from crossbar_sim.devices.laws import SourcedLaw
from crossbar_sim.devices.pulse_response.base import Steps
from crossbar_sim.runtime.compiling import entry
from crossbar_sim.spec.units import Volt

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]


class Disturbance(SourcedLaw):
    """A pulse at V moves every half-selected cell exp(-V_lost / growth_voltage) times as far as a cell at V.

    half: cells on the same word or bit line see V / 2, all others nothing, so V_lost = V / 2.
    third: all other cells of the array see V / 3, so V_lost = 2 V / 3.
    """

    scheme: Literal["half", "third"]
    growth_voltage: Annotated[Volt, Field(gt=0)]

    def share(self, voltage: float) -> float:
        """What is left of a pulse's move at a half-selected cell."""
        lost = voltage / 2 if self.scheme == "half" else 2 * voltage / 3
        return float(np.exp(-lost / self.growth_voltage))

    def __str__(self) -> str:
        return f"V/{2 if self.scheme == 'half' else 3} scheme, growth by e per {self.growth_voltage:g} V"


def half_selected_pulses(
    shape: tuple[int, ...], array: tuple[int, int], scheme: str, cells: Counts, pulses: NDArray[np.int32]
) -> Counts:
    """How many pulses of others each cell of a crossbar feels (flat), cells programmed one after the other in order.

    `shape` (..., rows, columns): cells of the leading axes lie side by side on the same word lines, each with bit lines
    of its own. `array` cuts rows and columns into separate arrays. A programmed cell feels only the pulses that come
    after its own: the earlier ones are over when its write begins.
    """
    rows, columns = shape[-2:]
    return _felt(int(np.prod(shape[:-2])), rows, columns, *array, scheme == "third", cells, pulses)


@entry
def _felt(
    sides: int,
    rows: int,
    columns: int,
    array_rows: int,
    array_columns: int,
    everywhere: bool,
    cells: Counts,
    pulses: NDArray[np.int32],
) -> Counts:
    down, across = -(-rows // array_rows), -(-columns // array_columns)
    word, bit = np.zeros((rows, across), np.int64), np.zeros((down, sides, columns), np.int64)
    whole = np.zeros((down, across), np.int64)
    felt = np.zeros(sides * rows * columns, np.int64)
    programmed = np.zeros(felt.size, np.bool_)
    for index in range(cells.size - 1, -1, -1):
        cell = cells[index]
        side = cell // (rows * columns)
        row = cell // columns % rows
        column = cell % columns
        t, u = row // array_rows, column // array_columns
        felt[cell] = whole[t, u] if everywhere else word[row, u] + bit[t, side, column]
        programmed[cell] = True
        word[row, u] += pulses[index]
        bit[t, side, column] += pulses[index]
        whole[t, u] += pulses[index]
    for side in range(sides):
        for row in range(rows):
            for column in range(columns):
                cell = (side * rows + row) * columns + column
                if not programmed[cell]:
                    t, u = row // array_rows, column // array_columns
                    felt[cell] = whole[t, u] if everywhere else word[row, u] + bit[t, side, column]
    return felt


def disturbed(distance: Floats, steps: Steps, share: Floats, pulses: Counts) -> Floats:
    """Siemens from the starting end after `pulses` weak pulses of a cell that was at `distance`.

    Each moves it by `share` of the device's mean step, which must be linear in the state (no bulge): n weak pulses then
    add up in closed form.
    """
    if steps.rate == 0.0:
        return np.asarray(distance + share * steps.step * pulses)
    end = steps.reach + steps.step / steps.rate
    return np.asarray(distance + (end - distance) * -np.expm1(pulses * np.log1p(-share * steps.rate)))
