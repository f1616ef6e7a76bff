"""Units: every number inside the package is SI; this file reads and shows the others.

`parse_quantity(50, "uS", "S")` gives 5e-05; `engineering(5e-05, "S")` gives "50 µS".
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated

from crossbar_sim.spec.errors import SpecError

PREFIXES = {
    "f": 1e-15,
    "p": 1e-12,
    "n": 1e-9,
    "u": 1e-6,
    "µ": 1e-6,
    "m": 1e-3,
    "": 1.0,
    "k": 1e3,
    "M": 1e6,
    "G": 1e9,
}
AREAS = (("", 1.0), ("m", 1e-6), ("µ", 1e-12), ("n", 1e-18))
"""Prefixes of an area are squared with its unit: 1 mm² = 1e-6 m²."""


@dataclass(frozen=True)
class Unit:
    """The SI unit of an annotated float."""

    symbol: str


Siemens = Annotated[float, Unit("S")]
Volt = Annotated[float, Unit("V")]
Ampere = Annotated[float, Unit("A")]
Second = Annotated[float, Unit("s")]
Joule = Annotated[float, Unit("J")]
Ohm = Annotated[float, Unit("ohm")]
Farad = Annotated[float, Unit("F")]
Hertz = Annotated[float, Unit("Hz")]
BitsPerSecond = Annotated[float, Unit("bit/s")]
Meter = Annotated[float, Unit("m")]
SquareMeter = Annotated[float, Unit("m2")]
Watt = Annotated[float, Unit("W")]
One = Annotated[float, Unit("1")]


def unit_scale(unit: str, base: str) -> float:
    """Factor that turns a number in `unit` into SI `base`; raises SpecError if they do not match."""
    if unit == base:
        return 1.0
    if unit.endswith(base) and unit[: -len(base)] in PREFIXES and base != "1":
        scale = PREFIXES[unit[: -len(base)]]
        return scale**2 if base == "m2" else scale
    raise SpecError(
        f"unit '{unit}' is not a unit of {base}; write '{base}' with one of the prefixes "
        f"{', '.join(p for p in PREFIXES if p)}, for example 'u{base}'"
    )


def engineering(value: float | None, unit: str = "", digits: int = 3) -> str:
    """The value with an SI prefix: 2.51e-7 J -> '251 nJ', 1e-6 m² -> '1 mm²'. None shows as 'none', infinity as '∞'."""
    if value is None:
        return "none"
    if math.isinf(value):
        return "∞"
    if unit in ("m2", "m²") and value > 0:
        prefix, scale = next((pair for pair in AREAS if value >= 0.1 * pair[1]), AREAS[-1])
        return f"{value / scale:.{digits}g} {prefix}{unit}"
    if value == 0 or not unit or unit == "1":
        return f"{value:.{digits}g}{' ' + unit if unit and unit != '1' else ''}"
    exponent = min(max(3 * math.floor(math.log10(abs(value)) / 3), -15), 9)
    scaled = value / 10.0**exponent
    if float(f"{abs(scaled):.{digits}g}") >= 1000 and exponent < 9:
        exponent, scaled = exponent + 3, scaled / 1000
    prefix = {-15: "f", -12: "p", -9: "n", -6: "µ", -3: "m", 0: "", 3: "k", 6: "M", 9: "G"}[exponent]
    text = f"{scaled:.{digits}g}" if abs(scaled) < 1000 else f"{scaled:.0f}"
    return f"{text} {prefix}{unit}"
