"""The components of the ledger: what energy can be spent on."""

from __future__ import annotations

PROGRAMMING = (
    "SET pulses",
    "RESET pulses",
    "verify reads",
    "verify sensing",
    "line charging",
    "half-select",
    "row drivers",
    "charge pump",
)
READING = (
    "cell reads",
    "DAC",
    "ADC",
    "shift-add",
    "sample-and-hold",
    "registers",
    "buffer",
    "bus",
    "router",
    "activation",
    "control",
    "off-chip link",
)
COMPONENTS = (*PROGRAMMING, *READING, "SRAM", "activation memory", "DRAM", "arithmetic", "leakage")
BUILT_IN = (*PROGRAMMING[:5], "cell reads", "DAC", "ADC", "shift-add", "SRAM", "arithmetic")
"""Components that every design bills; the others need an architecture, write circuits, memories or a passive array."""
