"""Energies of digital circuits by technology node: published tables and how they scale."""

from __future__ import annotations

from bisect import bisect_left
from types import MappingProxyType
from typing import Literal

from crossbar_sim.spec.errors import SpecError
from crossbar_sim.spec.spec import nearest

SCALING = MappingProxyType(
    {
        7: (0.1776, -0.09097, 0.02447),
        10: (0.2068, -0.09311, 0.02375),
        14: (0.2363, -0.09675, 0.02239),
        16: (0.2958, -0.1241, 0.03024),
        20: (0.373, -0.1582, 0.04104),
        32: (0.9559, -0.7823, 0.471),
        45: (1.103, -0.362, 0.2767),
        65: (3.755, -4.398, 1.975),
        90: (4.762, -4.781, 2.092),
        130: (7.171, -6.709, 2.904),
    }
)
"""Node in nm: coefficients of V^2, V and 1 in the energy of one operation. Source: stillmaker2017."""
ARITHMETIC_45NM = MappingProxyType(
    {
        "int8 add": 0.03e-12,
        "int8 multiply": 0.2e-12,
        "int32 add": 0.1e-12,
        "int32 multiply": 3.1e-12,
        "float16 add": 0.4e-12,
        "float16 multiply": 1.1e-12,
        "bfloat16 add": 0.4e-12,
        "bfloat16 multiply": 1.1e-12,
        "float32 add": 0.9e-12,
        "float32 multiply": 3.7e-12,
    }
)
"""Joule per operation at 45 nm and 0.9 V. Source: horowitz2014; bfloat16, which it does not have, as float16: an upper
bound, for its significand is shorter."""

DRAM_PER_BIT = MappingProxyType(
    {
        "DDR3": 70e-12,
        "LPDDR": 40e-12,
        "LPDDR4": 8e-12,
        "HBM2": 6.25e-12,
        "HBM3": 4.05e-12,
    }
)
"""Joule per bit read or written. Source: cacti."""

SRAM = MappingProxyType(
    {
        (64, 32, 45): (17.8e-12, 13.5e-12),
        (64, 64, 45): (25.9e-12, 19.6e-12),
        (64, 32, 32): (9.8e-12, 7.1e-12),
        (64, 128, 32): (19.7e-12, 18.1e-12),
        (64, 32, 22): (4.36e-12, 2.86e-12),
        (64, 64, 22): (5.67e-12, 4.43e-12),
        (64, 256, 22): (13.6e-12, 14.3e-12),
        (8, 64, 45): (6.1e-12, 7.9e-12),
        (8, 64, 32): (3.4e-12, 4.3e-12),
        (8, 64, 22): (1.6e-12, 1.8e-12),
    }
)
"""(kilobyte, bits per word, node in nm): joule per word read and written. Source: cacti."""


def energy_scale(from_node: float, to_node: float, voltage: float = 0.8) -> float:
    """Energy of an operation at `to_node` over that at `from_node` (nanometres, 7 to 130), both at `voltage` volt.

    E ~ a V^2 + b V + c per node, linear between neighbouring nodes. Source: Stillmaker and Baas 2017.
    """
    return _at(to_node, voltage) / _at(from_node, voltage)


def arithmetic_energy(operation: str, node: float) -> float:
    """Joule of one operation (a key of ARITHMETIC_45NM) at `node` nanometres: the 45 nm value, scaled."""
    if operation not in ARITHMETIC_45NM:
        raise SpecError(f"no operation '{operation}'{nearest(operation, list(ARITHMETIC_45NM))}")
    return ARITHMETIC_45NM[operation] * energy_scale(45, node)


def dram_energy(kind: str, bits: int) -> float:
    """Joule of moving `bits` bits to or from a DRAM (a key of DRAM_PER_BIT)."""
    if kind not in DRAM_PER_BIT:
        raise SpecError(f"no DRAM '{kind}'{nearest(kind, list(DRAM_PER_BIT))}")
    return bits * DRAM_PER_BIT[kind]


def sram_energy(kilobytes: int, word_bits: int, node: int, access: Literal["read", "write"] = "read") -> float:
    """Joule per word of an SRAM at a tabulated node (nanometres), from the frozen CACTI runs in SRAM.

    A word width without a run of its own lies on the line through two that have one, or is taken in proportion to
    the only one. Raises SpecError for a capacity and node without any run.
    """
    runs = sorted(
        (bits, energies[access == "write"])
        for (size, bits, at), energies in SRAM.items()
        if (size, at) == (kilobytes, node)
    )
    if not runs:
        known = ", ".join(f"{size} KB at {at} nm" for size, at in sorted({(size, at) for size, _, at in SRAM}))
        raise SpecError(f"no CACTI run for {kilobytes} KB at {node} nm; valid: {known}")
    if len(runs) == 1:
        return runs[0][1] * word_bits / runs[0][0]
    end = min(max(bisect_left([bits for bits, _ in runs], word_bits), 1), len(runs) - 1)
    (low, below), (high, above) = runs[end - 1], runs[end]
    return max(below + (above - below) * (word_bits - low) / (high - low), 0.0)


def _at(node: float, voltage: float) -> float:
    factors = {size: a * voltage**2 + b * voltage + c for size, (a, b, c) in SCALING.items()}
    return _between(MappingProxyType(factors), node)


def _between(table: MappingProxyType[int, float], node: float) -> float:
    """Linear between the table's nodes; SpecError outside."""
    nodes = list(table)
    if not nodes[0] <= node <= nodes[-1]:
        raise SpecError(
            f"technology node {node:g} nm is outside {nodes[0]} to {nodes[-1]} nm; scale from a nearer node"
        )
    end = max(bisect_left(nodes, node), 1)
    low, high = nodes[end - 1], nodes[end]
    return table[low] + (table[high] - table[low]) * (node - low) / (high - low)
