"""Pulse trains as files: what laboratories, spreadsheets and other simulators write, in siemens.

A pulse train is the conductance before the first pulse and after each one: SET pulses up, then RESET pulses down.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from crossbar_sim.spec.errors import SpecError
from crossbar_sim.spec.units import PREFIXES, unit_scale

Floats = NDArray[np.float64]
COLUMNS = ("pulse", "conductance", "device")
LARGEST_FILE = 1 << 27
PLAUSIBLE = (1e-12, 0.1)
"""Siemens: between them lies the upper end of every window that was published."""
HEADS = {
    "pulse": ("pulse", "pulses", "pulse number", "n", "number", "index", "#"),
    "time": ("time", "t"),
    "value": ("conductance", "g", "current", "i", "weight", "w"),
    "device": ("device", "cell", "id"),
    "set": ("set", "ltp", "potentiation", "up"),
    "reset": ("reset", "ltd", "depression", "down"),
}
"""How columns are called, by what they are."""
UNIT = re.compile(r"[\s_]*[(\[/]\s*([^)\]]*?)\s*[)\]]?$|_([fpnuµμm]?[SA])$")
Row = tuple[int, list[str]]
"""A line of the file: its number and its cells."""


@dataclass(frozen=True)
class PulseData:
    """Pulse trains (siemens, one row per device) of `up` SET pulses followed by RESET pulses."""

    trains: Floats
    up: int

    @property
    def down(self) -> int:
        """RESET pulses."""
        return self.trains.shape[1] - 1 - self.up


@dataclass(frozen=True)
class Scale:
    """How numbers of a file become siemens: their unit, None: as the header says, else siemens; the voltage (volt) that
    currents were read at; the window (siemens) of normalised weights."""

    unit: str | None = None
    read_voltage: float | None = None
    window: tuple[float, float] | None = None

    def siemens(self, numbers: Floats, path: Path) -> Floats:
        """The numbers as conductances; SpecError says what is missing, or that they cannot be conductances."""
        if not numbers.size:
            raise SpecError(f"{path}: no pulse and conductance below the header; give at least two pulses")
        unit = (self.unit or "S").replace("μ", "µ")
        if unit in ("1", "") or (self.unit is None and self.window is not None):
            return self._in_window(numbers, path)
        if unit.endswith("A"):
            if self.read_voltage is None or not 0 < self.read_voltage < math.inf:
                raise SpecError(f"{path}: currents in {unit} need the voltage of the reads: --read-voltage 0.1")
            numbers = numbers * unit_scale(unit, "A") / self.read_voltage
        elif unit.endswith("S"):
            numbers = numbers * unit_scale(unit, "S")
        else:
            known = ", ".join(f"{prefix}S" for prefix in PREFIXES if prefix in ("", "m", "u", "n", "p"))
            raise SpecError(f"{path}: '{unit}' is no unit of a conductance; give --unit {known}, uA or 1")
        largest = float(numbers.max())
        if not PLAUSIBLE[0] <= largest <= PLAUSIBLE[1]:
            raise SpecError(
                f"{path}: conductances of up to {largest:.3g} S are not those of a memory cell "
                f"({PLAUSIBLE[0]:g} to {PLAUSIBLE[1]:g} S); say their unit, for example --unit uS, or --unit 1 with "
                "--window for weights"
            )
        return numbers

    def _in_window(self, weights: Floats, path: Path) -> Floats:
        if self.window is None or not 0 <= self.window[0] < self.window[1] <= PLAUSIBLE[1]:
            raise SpecError(f"{path}: normalised weights need their device's window in siemens: --window 1e-6 1e-5")
        share = (weights + 1) / 2 if weights.min() < 0 else weights
        if share.min() < 0 or share.max() > 1:
            raise SpecError(
                f"{path}: normalised weights lie in 0 to 1 or -1 to 1, not {weights.min():g} to {weights.max():g}"
            )
        return self.window[0] + share * (self.window[1] - self.window[0])


def read_pulses(path: str | Path, pulses_up: int | None = None, scale: Scale | None = None) -> PulseData:
    """Pulse trains from a text file of columns between commas, semicolons, tabs or spaces, in any order.

    With a header: pulse (0, 1, 2 ...) or time, conductance and, for several, device; or pulse and a column per device;
    or one column of SET and one of RESET, named so. Without: SET and RESET in two columns, or one column per device;
    a first column that counts is the pulse. Units stand in the header, `G (uS)`, or in `scale`; siemens else. The first
    `pulses_up` pulses are SET pulses (default: the first half), the rest RESET. Raises SpecError with the file and the
    line of what is wrong.
    """
    path = Path(path)
    rows = _rows(path)
    first = rows[0][1]
    named = not any(_is_number(cell) for cell in first)
    heads = [cell.strip().lower() for cell in first] if named else []
    body = rows[1:] if named else rows
    roles = [_role(head) for head in heads] if named else _roles_of_numbers(body)
    scale = Scale() if scale is None else scale
    if scale.unit is None:
        stated = {_unit(head) for head, role in zip(first, roles, strict=False) if named and role != "time"}
        found = stated - {None}
        if len(found) > 1:
            raise SpecError(
                f"{path}: columns of several units, {', '.join(sorted(map(str, found)))}; give one with --unit"
            )
        scale = Scale(next(iter(found), None), scale.read_voltage, scale.window)
    if "set" in roles and "reset" in roles:
        return _one_way_each(path, body, roles, scale)
    if ("value" in roles and "device" in roles and "pulse" in roles) or ("time" in roles and "device" in roles):
        trains = _by_device(path, body, roles)
    else:
        trains = _side_by_side(path, body, roles, heads)
    return _halved(path, scale.siemens(trains, path), pulses_up)


def _rows(path: Path) -> list[Row]:
    """The lines that are not empty, cut into cells."""
    try:
        if not path.is_file():
            raise SpecError(f"no such file: {path}; give the path of an existing .csv file")
        if path.stat().st_size > LARGEST_FILE:
            raise SpecError(f"{path}: more than {LARGEST_FILE} bytes; leave out pulses or devices")
        content = path.read_bytes()
        text = content.decode("utf-16" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig")
    except (OSError, ValueError) as error:
        raise SpecError(f"{path}: cannot be read as text ({error}); save it as CSV in UTF-8") from None
    lines = [(number, line) for number, line in enumerate(text.splitlines(), start=1) if line.strip(" \t;,\r")]
    lines = [(number, line) for number, line in lines if not line.lstrip().startswith(("#", "%"))]
    if not lines:
        raise SpecError(f"{path}: no line of numbers; the columns are {', '.join(COLUMNS)}")
    between = next((mark for mark in (";", "\t", ",") if any(mark in line for _, line in lines[:2])), None)
    decimal_comma = between != ","

    def cells(line: str) -> list[str]:
        cut = line.split(between)
        plain = [cell.strip().strip('"').strip() for cell in cut]
        return [cell.replace(",", ".") if decimal_comma else cell for cell in plain]

    return [(number, cells(line)) for number, line in lines]


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _unit(head: str) -> str | None:
    found = UNIT.search(head.strip())
    unit = (found[1] or found[2]) if found else None
    return unit if unit and unit[-1] in "SA1" else None


def _role(head: str) -> str:
    """What a column is by its head, without unit; a head that says nothing is a device of that name."""
    plain = UNIT.sub("", head).strip()
    plain = re.sub(r"_[fpnuµμm]?[sa]$", "", plain)
    return next((role for role, heads in HEADS.items() if plain in heads), "train")


def _roles_of_numbers(rows: Sequence[Row]) -> list[str]:
    """What the columns of a file without a header are."""
    width = max(len(cells) for _, cells in rows)
    first = [cells[0] for _, cells in rows]
    counts = all(_is_number(cell) for cell in first) and len(first) > 2
    start = float(first[0]) if counts else 0.0
    if width > 1 and counts and start in (0.0, 1.0) and all(float(c) == start + k for k, c in enumerate(first)):
        return ["pulse", *["train"] * (width - 1)]
    return ["set", "reset"] if width == 2 else ["train"] * width


def _number(path: Path, line: int, cell: str, what: str = "conductance") -> float:
    """A finite number; a weight may be negative, a conductance is checked when its unit is known."""
    if not _is_number(cell):
        raise SpecError(f"{path}, line {line}: pulse must be a whole number, {what} a number, got '{cell[:40]}'")
    if not math.isfinite(value := float(cell)):
        raise SpecError(f"{path}, line {line}: {what} must be finite and not negative, in siemens")
    return value


def _by_device(path: Path, rows: Sequence[Row], roles: Sequence[str]) -> Floats:
    """Trains of a file with a line per pulse and device; times are put in order."""
    if "value" not in roles:
        raise SpecError(f"{path}: column conductance is missing; the columns are {', '.join(COLUMNS)}")
    timed = "pulse" not in roles
    order = roles.index("time" if timed else "pulse")
    value = roles.index("value")
    device = roles.index("device")
    found: dict[str, dict[float, float]] = {}
    for line, cells in rows:
        if len(cells) <= max(order, value, device):
            raise SpecError(f"{path}, line {line}: {len(cells)} columns; the first line has {len(roles)}")
        moment = _number(path, line, cells[order], "time" if timed else "conductance")
        train = found.setdefault(cells[device], {})
        if moment in train:
            raise SpecError(f"{path}, line {line}: device '{cells[device][:40]}' has this pulse twice; keep one")
        train[moment] = _number(path, line, cells[value])
    lengths = {len(train) for train in found.values()}
    count = max(lengths, default=1) - 1 if timed else max((max(train) for train in found.values()), default=0)
    for name, train in found.items():
        if len(train) != count + 1 or not (timed or sorted(train) == list(range(len(train)))):
            raise SpecError(f"{path}: device '{name[:40]}' must have every pulse from 0 to {count:.6g} once")
    return np.array([[train[moment] for moment in sorted(train)] for train in found.values()])


def _side_by_side(path: Path, rows: Sequence[Row], roles: Sequence[str], heads: Sequence[str]) -> Floats:
    """Trains of a file with a column per device, or one column; ordered by pulse or time if there is such a column."""
    columns = [place for place, role in enumerate(roles) if role in ("train", "value")]
    order = next((place for place, role in enumerate(roles) if role in ("pulse", "time")), None)
    if heads and ("device" in roles or order is None or not columns):
        missing = [name for name, role in zip(COLUMNS, ("pulse", "value", "device"), strict=True) if role not in roles]
        raise SpecError(
            f"{path}: column {', '.join(missing)} is missing; the columns are {', '.join(COLUMNS)}, not "
            f"{', '.join(heads)[:80]}"
        )
    lines = []
    for line, cells in rows:
        if len(cells) < len(roles):
            raise SpecError(f"{path}, line {line}: {len(cells)} columns; the first line has {len(roles)}")
        moment = float(line) if order is None else _number(path, line, cells[order], "pulse")
        lines.append((moment, [_number(path, line, cells[place]) for place in columns]))
    lines.sort(key=lambda pair: pair[0])
    moments = [moment for moment, _ in lines]
    step = None if order is None or roles[order] == "time" else 1.0
    name = heads[order] if heads and order is not None else "1"
    for before, after in pairwise(moments):
        if after == before or (step is not None and after != before + step):
            raise SpecError(
                f"{path}: after {before:g} comes {after:g} in column {name[:40]}; give every "
                "pulse once, SET and RESET numbered through"
            )
    return np.array([numbers for _, numbers in lines]).T


def _one_way_each(path: Path, rows: Sequence[Row], roles: Sequence[str], scale: Scale) -> PulseData:
    """One train of a column of SET and a column of RESET pulses, which may end earlier than the other.

    Either begins with the conductance before its first pulse; the RESET column may also begin after it.
    """
    ways: list[list[float]] = []
    for role in ("set", "reset"):
        place = list(roles).index(role)
        column = [(line, cells[place] if place < len(cells) else "") for line, cells in rows]
        while column and not column[-1][1]:
            column.pop()
        ways.append([_number(path, line, cell) for line, cell in column])
    up, down = ways
    if len(up) < 3 or len(down) < 3:
        raise SpecError(f"{path}: {len(up)} values of SET and {len(down)} of RESET; a fit needs at least 3 of each")
    starts_at_top = abs(down[0] - up[-1]) < 0.5 * abs(down[1] - down[0]) or down[0] >= up[-1]
    train = np.array([[*up, *(down[1:] if starts_at_top else down)]])
    return _halved(path, scale.siemens(train, path), len(up) - 1)


def _halved(path: Path, trains: Floats, pulses_up: int | None) -> PulseData:
    """Trains with their number of SET pulses; SpecError for too few pulses or negative conductances."""
    if trains.min() < 0:
        raise SpecError(f"{path}: conductance must be finite and not negative, in siemens, got {trains.min():g}")
    count = trains.shape[1] - 1
    if pulses_up is None and count % 2:
        raise SpecError(f"{path}: {count} pulses do not halve into up and down; say how many go up")
    up = count // 2 if pulses_up is None else pulses_up
    if not 2 <= up <= count - 2:
        raise SpecError(f"{path}: {count} pulses with {up} up; a fit needs at least 2 pulses up and 2 down")
    return PulseData(trains, up)
