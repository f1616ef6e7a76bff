"""Mapping schemes, one file each: how a weight sits in cells. A new one is one more name in SCHEMES."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from crossbar_sim.hardware.schemes.base import Scheme
from crossbar_sim.hardware.schemes.differential import differential
from crossbar_sim.hardware.schemes.offset import offset
from crossbar_sim.hardware.schemes.two_sided import two_sided

SCHEMES = {scheme.name: scheme for scheme in (differential, two_sided, offset)}

if TYPE_CHECKING:
    SchemeName = str
else:
    SchemeName = Literal[tuple(SCHEMES)]

__all__ = ["SCHEMES", "Scheme", "SchemeName"]
