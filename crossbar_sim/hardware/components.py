"""The components of the ledger: what energy can be spent on, and which designs bill it. A new one is one line here."""

from __future__ import annotations

from typing import Literal, NamedTuple

Group = Literal["programming", "reading", "digital", "other"]
Billed = Literal[
    "always", "passive array", "write circuits", "architecture", "activation memory", "DRAM", "leaking architecture"
]
"""In which designs: all, or those that state the part named; 'architecture': where one of its components says so."""


class LedgerComponent(NamedTuple):
    """One component: `name` in the ledger, the group its energy belongs to, and in which designs it is billed."""

    name: str
    group: Group
    billed: Billed


LEDGER_COMPONENTS = (
    LedgerComponent("SET pulses", "programming", "always"),
    LedgerComponent("RESET pulses", "programming", "always"),
    LedgerComponent("verify reads", "programming", "always"),
    LedgerComponent("verify sensing", "programming", "always"),
    LedgerComponent("line charging", "programming", "always"),
    LedgerComponent("half-select", "programming", "passive array"),
    LedgerComponent("row drivers", "programming", "write circuits"),
    LedgerComponent("charge pump", "programming", "write circuits"),
    LedgerComponent("cell reads", "reading", "always"),
    LedgerComponent("DAC", "reading", "always"),
    LedgerComponent("ADC", "reading", "always"),
    LedgerComponent("shift-add", "reading", "always"),
    LedgerComponent("sample-and-hold", "reading", "architecture"),
    LedgerComponent("registers", "reading", "architecture"),
    LedgerComponent("buffer", "reading", "architecture"),
    LedgerComponent("bus", "reading", "architecture"),
    LedgerComponent("router", "reading", "architecture"),
    LedgerComponent("activation", "reading", "architecture"),
    LedgerComponent("control", "reading", "architecture"),
    LedgerComponent("off-chip link", "reading", "architecture"),
    LedgerComponent("SRAM", "digital", "always"),
    LedgerComponent("activation memory", "digital", "activation memory"),
    LedgerComponent("DRAM", "digital", "DRAM"),
    LedgerComponent("arithmetic", "digital", "always"),
    LedgerComponent("leakage", "other", "leaking architecture"),
)
"""The order is that of tables and figures."""


def _names(group: Group) -> tuple[str, ...]:
    return tuple(component.name for component in LEDGER_COMPONENTS if component.group == group)


COMPONENTS = tuple(component.name for component in LEDGER_COMPONENTS)
PROGRAMMING = _names("programming")
READING = _names("reading")
DIGITAL = _names("digital")
"""What the digital unit does."""
