"""Ledger: every energy, time and write event of one chip, by phase, component and place."""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypedDict

from crossbar_sim.hardware.components import COMPONENTS
from crossbar_sim.runtime.files import write_json, write_text
from crossbar_sim.spec.documents import read_json
from crossbar_sim.spec.errors import SpecError
from crossbar_sim.spec.units import engineering

KEYS = ("phase", "group", "component", "place", "layer")
COLUMNS = ("phase", "component", "place", "energy_J", "time_s", "count")
_PHASE = re.compile("[^/]+(/[^/]+)?")
_REFUSED = "energy of {} at {} must be finite and not negative, got {}"


class Row(TypedDict):
    """What is billed to a (phase, component, place)."""

    phase: str
    component: str
    place: str
    energy_J: float
    time_s: float
    count: int


class Written(TypedDict):
    """Cells that are written in a phase at a place."""

    phase: str
    place: str
    cells: int


Content = dict[str, str | list[Row] | list[Written]]
"""Of a ledger: each label by its key, `rows` and `cells_written`."""


@dataclass(slots=True)
class Entry:
    """Running sums of one (phase, component, place): joule, second, events."""

    energy: float = 0.0
    time: float = 0.0
    count: int = 0


@dataclass
class Ledger:
    """Running sums; nothing is billed while `paused()`, and everything else carries the current phase.

    A phase is any text 'group' or 'group/part'. Outside every `phase(...)` it is 'infer': a chip that is just read
    infers. Every total is the correctly rounded sum (math.fsum) of the rows it covers. `labels` say whose rows these
    are beside those of other ledgers: columns of the table, and keys to group by.
    """

    entries: dict[tuple[str, str, str], Entry] = field(default_factory=dict)
    cells_written: dict[tuple[str, str], int] = field(default_factory=dict)
    current_phase: str = "infer"
    billing: bool = True
    times: int = 1
    labels: dict[str, str] = field(default_factory=dict)

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Everything billed inside belongs to phase `name`."""
        _check_phase(name)
        before, self.current_phase = self.current_phase, name
        try:
            yield
        finally:
            self.current_phase = before

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Nothing inside is billed (a look at a run must not change its bill)."""
        before, self.billing = self.billing, False
        try:
            yield
        finally:
            self.billing = before

    @contextmanager
    def all_or_nothing(self) -> Iterator[None]:
        """What an error ends leaves no row, no count and no label."""
        entries = {row: replace(entry) for row, entry in self.entries.items()}
        cells_written, labels = dict(self.cells_written), dict(self.labels)
        try:
            yield
        except BaseException:
            self.entries, self.labels = entries, labels
            self.cells_written = cells_written
            raise

    @contextmanager
    def repeated(self, times: int) -> Iterator[None]:
        """Everything billed inside counts `times` times; the innermost number holds."""
        before, self.times = self.times, times
        try:
            yield
        finally:
            self.times = before

    def add(self, component: str, place: str, energy: float, count: int, time: float = 0.0) -> None:
        """Bill `count` events of `component` at `place`, in all `energy` joule and `time` seconds."""
        self.add_operation(place, (component, count, energy, time), ())

    def add_operation(
        self,
        place: str,
        first: tuple[str, int, float, float],
        others: Iterable[tuple[str, int, float]],
        times: int = 1,
    ) -> None:
        """Bill what takes time, `first` (component, events, joule, seconds), and (component, events, joule) of all that
        happens meanwhile, each of these `times` times over."""
        if not self.billing:
            return
        phase, find = self.current_phase, self.entries.get
        component, events, joule, time = first
        entry = find((phase, component, place)) or self._open(component, place)
        if not 0.0 <= joule < math.inf:
            raise SpecError(_REFUSED.format(component, place, joule))
        entry.energy += self.times * joule
        entry.time += self.times * time
        entry.count += self.times * events
        times *= self.times
        for component, events, energy in others:
            entry = find((phase, component, place)) or self._open(component, place)
            joule = times * energy
            if not 0.0 <= joule < math.inf:
                raise SpecError(_REFUSED.format(component, place, joule))
            entry.energy += joule
            entry.count += times * events

    def _open(self, component: str, place: str) -> Entry:
        """A new row of the current phase."""
        if component not in COMPONENTS:
            raise SpecError(f"no component '{component}'; valid: {', '.join(COMPONENTS)}")
        entry = self.entries[self.current_phase, component, place] = Entry()
        return entry

    def add_writes(self, place: str, cells: int) -> None:
        """Record that `cells` cells were programmed at `place`."""
        if self.billing and cells:
            key = (self.current_phase, place)
            self.cells_written[key] = self.cells_written.get(key, 0) + self.times * cells

    def energy(self, phase: str | None = None, components: tuple[str, ...] = COMPONENTS) -> float:
        """Joule of a phase (a group covers its parts; None: all) and of some components."""
        wanted, part = frozenset(components), f"{phase}/"
        return math.fsum(
            entry.energy
            for (at, component, _), entry in self.entries.items()
            if component in wanted and (phase is None or at == phase or at.startswith(part))
        )

    def time(self, phase: str | None = None) -> float:
        """Seconds of a phase, its events one after the other."""
        part = f"{phase}/"
        return math.fsum(
            entry.time
            for (at, *_), entry in self.entries.items()
            if phase is None or at == phase or at.startswith(part)
        )

    def writes(self, phase: str | None = None) -> int:
        """Cells programmed in a phase (a cell programmed twice counts twice)."""
        part = f"{phase}/"
        return sum(
            cells
            for (at, _), cells in self.cells_written.items()
            if phase is None or at == phase or at.startswith(part)
        )

    @property
    def groups(self) -> tuple[str, ...]:
        """The groups of all phases with an entry, in the order they first occurred."""
        billed = (*(at for at, *_ in self.entries), *(at for at, _ in self.cells_written))
        return tuple(dict.fromkeys(at.split("/")[0] for at in billed))

    def by_phase(self) -> dict[str, float]:
        """Joule by group of phases, in the order they first occurred."""
        return {group: self.energy(group) for group in self.groups}

    def by_component(self, phase: str | None = None) -> dict[str, float]:
        """Joule by component."""
        return {component: self.energy(phase, (component,)) for component in COMPONENTS}

    def by(self, *keys: str) -> dict[tuple[str, ...], Entry]:
        """Sums over the rows that agree in `keys`: any of KEYS and of the labels.

        group: the phase without its part; layer: the place without what an adapter adds to its name
        ('head.lora_A' belongs to 'head' if the ledger has a place 'head').
        """
        for key in keys:
            if key not in KEYS and key not in self.labels:
                raise SpecError(f"rows cannot be grouped by '{key}'; valid: {', '.join((*self.labels, *KEYS))}")
        layer = _layers({place for *_, place in self.entries})
        parts: dict[tuple[str, ...], list[Entry]] = {}
        for (phase, component, place), entry in self.entries.items():
            facts = {
                **self.labels,
                "phase": phase,
                "group": phase.split("/")[0],
                "component": component,
                "place": place,
                "layer": layer(place),
            }
            parts.setdefault(tuple(facts[key] for key in keys), []).append(entry)
        return {
            key: Entry(math.fsum(e.energy for e in rows), math.fsum(e.time for e in rows), sum(e.count for e in rows))
            for key, rows in parts.items()
        }

    def rows(self) -> list[Row]:
        """One record per (phase, component, place), in the order they first occurred."""
        return [
            {
                "phase": phase,
                "component": component,
                "place": place,
                "energy_J": entry.energy,
                "time_s": entry.time,
                "count": entry.count,
            }
            for (phase, component, place), entry in self.entries.items()
        ]

    def to_csv(self, path: str | Path) -> None:
        """Write the rows, with the labels in front; the file appears whole or not at all."""
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, (*self.labels, *COLUMNS), lineterminator="\n")
        writer.writeheader()
        writer.writerows({**self.labels, **row} for row in self.rows())
        write_text(Path(path), text.getvalue())

    def to_json(self, path: str | Path) -> None:
        """Write everything billed, readable by `from_json`; the file appears whole or not at all."""
        write_json(Path(path), self.content())

    def content(self) -> Content:
        """Everything billed, as what JSON can hold."""
        written: list[Written] = [
            {"phase": phase, "place": place, "cells": cells} for (phase, place), cells in self.cells_written.items()
        ]
        return {**self.labels, "rows": self.rows(), "cells_written": written}

    @classmethod
    def from_json(cls, path: str | Path) -> Ledger:
        """Read a ledger that `to_json` wrote: equal to the one written. SpecError says what is wrong with the file."""
        try:
            content = read_json(path)
        except SpecError as error:
            raise SpecError(f"{path}: not a ledger ({error}); write one with Ledger.to_json") from None
        return cls.from_content(content, str(path))

    @classmethod
    def from_content(cls, content: Any, where: str) -> Ledger:
        """The ledger of such a `content()`. SpecError, starting with `where`, says what is wrong with it."""
        try:
            rows, written = content["rows"], content["cells_written"]
            content = {key: label for key, label in content.items() if key not in ("rows", "cells_written")}
            ledger = cls(labels={key: str(label) for key, label in content.items()})
            for row in rows:
                phase, component, place, energy, time, count = (row[column] for column in COLUMNS)
                _check_phase(phase)
                ledger.current_phase = phase
                ledger.add(component, place, float(energy), int(count), float(time))
            for row in written:
                ledger.cells_written[row["phase"], row["place"]] = int(row["cells"])
        except (AttributeError, KeyError, OverflowError, TypeError, ValueError, SpecError) as error:
            raise SpecError(f"{where}: not a ledger ({error}); write one with Ledger.to_json") from None
        ledger.current_phase = "infer"
        return ledger

    def __str__(self) -> str:
        lines = [f"Ledger: {engineering(self.energy(), 'J')}, {self.writes()} cell writes"]
        lines += [
            f"  {group:<8}{engineering(energy, 'J'):>10}{self.writes(group):>12} cell writes"
            for group, energy in self.by_phase().items()
        ]
        largest = sorted(self.by_component().items(), key=lambda item: -item[1])[:6]
        lines.append("  " + ", ".join(f"{name} {engineering(value, 'J')}" for name, value in largest if value))
        return "\n".join(lines)


def _check_phase(name: str) -> None:
    if not _PHASE.fullmatch(name):
        raise SpecError(f"no phase '{name}'; a phase is 'group' or 'group/part', for example 'adapt/forward'")


def _layers(places: set[str]) -> Callable[[str], str]:
    """place -> the shortest place that its dotted name starts with."""

    def layer(place: str) -> str:
        parts = place.split(".")
        heads = (".".join(parts[:length]) for length in range(1, len(parts) + 1))
        return next((head for head in heads if head in places), place)

    return layer
