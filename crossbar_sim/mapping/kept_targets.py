"""KeptTargets: where the cells of a matrix are led, a byte or two for each where the device has levels."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crossbar_sim.devices import DeviceModel
from crossbar_sim.mapping.layout import Layout
from crossbar_sim.spec.arrays import Floats, Integers
from crossbar_sim.spec.errors import MappingError

SPARE = 2
"""Numbers at the end of the range that are no level: one of cells at the middle of the window, one of cells without a
target."""


@dataclass(frozen=True, eq=False)
class KeptTargets:
    """Targets of cells (planes, inputs, columns).

    array: numbers of levels (uint8, or uint16 where a byte does not hold them); siemens (float64) without levels
    level_siemens: of each number, NaN for that of no target; empty where `array` is in siemens
    """

    array: NDArray[Any]
    level_siemens: Floats

    @classmethod
    def nowhere(cls, device: DeviceModel, layout: Layout) -> KeptTargets:
        """Of cells that were never programmed."""
        of_level = _siemens_of_level(device, layout)
        if of_level is None:
            return cls(np.full(layout.shape, np.nan), np.empty(0))
        for kind in (np.uint8, np.uint16):
            numbers = np.iinfo(kind).max + 1
            if len(of_level) + SPARE <= numbers:
                table = np.full(numbers, np.nan)
                table[: len(of_level)] = of_level
                table[-SPARE] = device.g_min + 0.5 * device.window
                return cls(np.full(layout.shape, numbers - 1, kind), table)
        return cls(np.full(layout.shape, np.nan), np.empty(0))

    @property
    def coded(self) -> bool:
        """Whether numbers of levels are kept, not siemens."""
        return self.level_siemens.size > 0

    @property
    def none(self) -> Any:
        """What stands for no target in `array`."""
        return self.array.dtype.type(len(self.level_siemens) - 1 if self.coded else np.nan)

    @property
    def siemens(self) -> Floats:
        """(planes, inputs, columns), a new array; NaN where there is no target."""
        return self.level_siemens[self.array] if self.coded else self.array.copy()

    def of(self, cells: Integers) -> Floats:
        """Siemens of these cells (flat indices)."""
        aimed = self.array.reshape(-1)[cells]
        return self.level_siemens[aimed] if self.coded else aimed

    def set_middle(self, cells: Integers, middle: float) -> None:
        """These cells (flat indices) are led to the middle of the window, `middle` siemens."""
        self.array.reshape(-1)[cells] = len(self.level_siemens) - SPARE if self.coded else middle

    def without(self, cells: Integers) -> NDArray[np.bool_]:
        """Which of these cells (flat indices) have no target."""
        aimed = self.array.reshape(-1)[cells]
        without: NDArray[np.bool_] = aimed == self.none if self.coded else np.isnan(aimed)
        return without

    def copy(self) -> KeptTargets:
        """Another one that stays as it is when this one changes."""
        return replace(self, array=self.array.copy())

    def take(self, array: NDArray[Any], what: str) -> None:
        """Become `array`, another one's; MappingError, naming `what`, if it is none of this kind."""
        if array.shape != self.array.shape or array.dtype != self.array.dtype:
            raise MappingError(
                f"{what} is {array.dtype} {array.shape} in the file, its hardware has {self.array.dtype} "
                f"{self.array.shape}; save the chip again"
            )
        if self.coded and np.isnan(self.level_siemens[array[array != self.none]]).any():
            raise MappingError(f"{what} names levels that its hardware does not have; save the chip again")
        self.array[...] = array


@dataclass(frozen=True, eq=False)
class FirstTargets:
    """The first targets that fresh cells get, in the order in which they are then listed. targets: one for every cell;
    nobody changes them."""

    targets: KeptTargets
    layout: Layout

    def wanted(self) -> tuple[Integers, Floats]:
        """Flat indices of the cells, and their targets, siemens."""
        cells, siemens = self.cells, self.targets.siemens.reshape(-1)
        return cells, siemens if cells.size == 0 or not self.layout.spec.references else siemens[cells]

    @cached_property
    def _references(self) -> Integers:
        return reference_cells(self.layout)

    @property
    def cells(self) -> Integers:
        """Flat indices: cells of weights line by line, then those of references."""
        if not self.layout.spec.references:
            return np.arange(self.targets.array.size)
        planes, inputs, columns = self.layout.shape
        lines = np.arange(planes * inputs)[:, None] * columns
        return np.concatenate([(lines + self.layout.column_of).reshape(-1), self._references.reshape(-1)])


def reference_cells(layout: Layout) -> Integers:
    """Flat indices (planes, inputs, column tiles) of the reference cells."""
    lines = map(np.arange, layout.shape[:2])
    return np.ravel_multi_index(np.ix_(*lines, np.unique(layout.reference_of)), layout.shape)


def _siemens_of_level(device: DeviceModel, layout: Layout) -> Floats | None:
    """Siemens of each level that targets stand on, as mapping computes them; None: they are continuous."""
    spec = layout.spec
    if device.levels is None:
        return None
    if spec.pair_update == "one_side":
        return np.asarray(device.g_min + device.window / (device.levels - 1) * np.arange(device.levels))
    steps = device.levels - 1 if spec.slices == 1 else 2 ** (spec.slice_bits or 0) - 1
    return np.asarray(device.g_min + device.window * (np.arange(steps + 1) / steps))
