"""Ledger: every energy, time and write event of one chip, by phase, component and place."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

from crossbar_sim.units import engineering

Phase = Literal["deploy", "pool", "adapt/forward", "adapt/backward", "adapt/update", "infer"]
PHASES: tuple[str, ...] = ("deploy", "pool", "adapt/forward", "adapt/backward", "adapt/update", "infer")
GROUPS: tuple[str, ...] = ("deploy", "pool", "adapt", "infer")
PROGRAMMING = ("SET pulses", "RESET pulses", "verify reads", "line charging")
COMPONENTS = (*PROGRAMMING, "cell reads", "DAC", "ADC", "shift-add", "SRAM", "arithmetic")
_KNOWN = frozenset(COMPONENTS)


@dataclass
class Entry:
    """Running sums of one (phase, component, place): joule, second, events."""

    energy: float = 0.0
    time: float = 0.0
    count: int = 0


@dataclass
class Ledger:
    """Running sums; nothing is billed while `paused()`, and everything else carries the current phase.

    Outside every `phase(...)` the phase is 'infer': a chip that is just read infers.
    """

    entries: dict[tuple[str, str, str], Entry] = field(default_factory=dict)
    cells_written: dict[tuple[str, str], int] = field(default_factory=dict)
    totals: dict[tuple[str, str], float] = field(default_factory=dict)
    current_phase: str = "infer"
    billing: bool = True

    @contextmanager
    def phase(self, name: Phase) -> Iterator[None]:
        """Everything billed inside belongs to phase `name`."""
        if name not in PHASES:
            raise ValueError(f"no phase '{name}'; valid: {', '.join(PHASES)}")
        before, self.current_phase = self.current_phase, name
        try:
            yield
        finally:
            self.current_phase = before

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Nothing inside is billed (looking at a run must not change its bill)."""
        before, self.billing = self.billing, False
        try:
            yield
        finally:
            self.billing = before

    def add(self, component: str, place: str, energy: float, count: int, time: float = 0.0) -> None:
        """Bill `count` events of `component` at `place` that took `energy` joule and `time` second together."""
        if not self.billing:
            return
        if component not in _KNOWN:
            raise ValueError(f"no component '{component}'; valid: {', '.join(COMPONENTS)}")
        if not 0.0 <= energy < math.inf:
            raise ValueError(f"energy of {component} at {place} must be finite and not negative, got {energy}")
        key = (self.current_phase, component, place)
        entry = self.entries.get(key)
        if entry is None:
            entry = self.entries[key] = Entry()
        entry.energy += energy
        total = (self.current_phase, component)
        self.totals[total] = self.totals.get(total, 0.0) + energy
        entry.time += time
        entry.count += count

    def add_writes(self, place: str, cells: int) -> None:
        """Record that `cells` cells were programmed at `place`."""
        if self.billing and cells:
            key = (self.current_phase, place)
            self.cells_written[key] = self.cells_written.get(key, 0) + cells

    def energy(self, phase: str | None = None, components: tuple[str, ...] = COMPONENTS) -> float:
        """Joule of a phase ('adapt' covers its three parts; None: all) and of some components."""
        return math.fsum(
            energy
            for (entry_phase, component), energy in self.totals.items()
            if component in components and _belongs(entry_phase, phase)
        )

    def time(self, phase: str | None = None) -> float:
        """Seconds of a phase, its events one after the other."""
        return math.fsum(
            entry.time for (entry_phase, *_), entry in self.entries.items() if _belongs(entry_phase, phase)
        )

    def writes(self, phase: str | None = None) -> int:
        """Cells programmed in a phase (a cell programmed twice counts twice)."""
        return sum(cells for (entry_phase, _), cells in self.cells_written.items() if _belongs(entry_phase, phase))

    def by_phase(self) -> dict[str, float]:
        """Joule by deploy, pool, adapt, infer."""
        return {group: self.energy(group) for group in GROUPS}

    def by_component(self, phase: str | None = None) -> dict[str, float]:
        """Joule by component."""
        return {component: self.energy(phase, (component,)) for component in COMPONENTS}

    def rows(self) -> list[dict[str, Any]]:
        """One record per (phase, component, place), in the order they first occurred."""
        return [
            {"phase": phase, "component": component, "place": place,
             "energy_J": entry.energy, "time_s": entry.time, "count": entry.count}
            for (phase, component, place), entry in self.entries.items()
        ]  # fmt: skip

    def __str__(self) -> str:
        lines = [f"Ledger: {engineering(self.energy(), 'J')}, {self.writes()} cell writes"]
        lines += [
            f"  {group:<8}{engineering(energy, 'J'):>10}{self.writes(group):>12} cell writes"
            for group, energy in self.by_phase().items()
        ]
        largest = sorted(self.by_component().items(), key=lambda item: -item[1])[:6]
        lines.append("  " + ", ".join(f"{name} {engineering(value, 'J')}" for name, value in largest if value))
        return "\n".join(lines)


def _belongs(entry_phase: str, phase: str | None) -> bool:
    return phase is None or entry_phase == phase or entry_phase.split("/")[0] == phase
