"""What `xbar hardware` shows: records of the chip designs."""

from __future__ import annotations

from typing import Any

from crossbar_sim.hardware.hardware import Hardware, hardware_names
from crossbar_sim.ledger.datasheet import datasheet


def record(hardware: Hardware) -> dict[str, Any]:
    """A design as JSON: what one vector on one full array costs, every level, every number with its source."""
    sheet = datasheet(hardware)
    return {
        "name": hardware.name,
        "device": hardware.device.name,
        "accounting": hardware.accounting,
        "adc_energy_model": hardware.adc.energy_model,
        "unbilled": list(hardware.unbilled),
        "mvm_time_s": sheet.mvm_time,
        "mvm_operations": sheet.mvm_operations,
        "levels": [
            {
                "level": level.level,
                "arrays": level.arrays,
                "power_W": level.power,
                "area_m2": level.area,
                "operations_per_s": level.operations_per_second,
                "mvm_energy_J": sheet.energy(level.level),
                "mvm_energy_by_component_J": sheet.mvm_energy[level.level],
            }
            for level in sheet.levels
        ],
        "numbers": hardware.provenance(),
        "sources": hardware.sources(),
    }


def catalogue() -> list[dict[str, Any]]:
    """One record per design that ships: name, device, array, and the largest part it describes."""
    records = []
    for name in hardware_names():
        hardware = Hardware.load(name)
        top = datasheet(hardware).levels[-1]
        records.append(
            {
                "name": name,
                "device": hardware.device.name,
                "rows": hardware.tile.rows,
                "columns": hardware.tile.columns,
                "level": top.level,
                "arrays": top.arrays,
                "power_W": top.power,
                "area_m2": top.area,
                "sources": hardware.sources(),
            }
        )
    return records
