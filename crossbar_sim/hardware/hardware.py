"""Hardware: the one spec a user names; device, tile, converters and digital periphery."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

from pydantic import model_validator

from crossbar_sim.devices import DeviceModel
from crossbar_sim.hardware.adc_energy import ADC_ENERGY_SOURCES
from crossbar_sim.hardware.architecture import Architecture, WriteCircuits
from crossbar_sim.hardware.components import COMPONENTS, LEDGER_COMPONENTS, Billed
from crossbar_sim.hardware.converters import ADC, DAC
from crossbar_sim.hardware.digital import Digital, DigitalUnit
from crossbar_sim.hardware.non_idealities import NON_IDEALITIES, Parts
from crossbar_sim.hardware.tile import WIRE_RESISTANCES, TileSpec
from crossbar_sim.hardware.wear_levelling import WearLevelling
from crossbar_sim.library import shelf_names, shelf_path
from crossbar_sim.spec.documents import read_toml
from crossbar_sim.spec.errors import SpecError
from crossbar_sim.spec.spec import SourcedSpec, Spec, nearest
from crossbar_sim.spec.units import engineering

ADC_ENERGY_NOTES = {
    "survey": ("regression on the Murmann survey, best 20 %", "4-14 bits, up to 10 GS/s"),
    "neurosim_sar": ("SAR model", "low-standby-power transistors, 7-130 nm"),
}


class Hardware(Spec):
    """A chip design. `backward` says what gradients pass through: 'analog' (the transposed noisy tiles with
    converters), 'noise_free' (the achieved conductances, exact) or 'ideal' (the float master copy).
    `wear_levelling` None: every input keeps its row. `accounting`: 'physical', or 'neurosim' to compare
    with that simulator. Without `architecture` and `write_circuits` the circuits they describe are not billed
    (`unbilled`)."""

    kind_of_file: ClassVar[str | None] = "hardware"
    named_as_published: ClassVar[bool] = True
    name: str
    device: DeviceModel
    tile: TileSpec
    dac: DAC
    adc: ADC
    digital: Digital
    backward: Literal["analog", "noise_free", "ideal"] = "analog"
    programming_order: Literal["row_parallel", "cell_serial"] = "row_parallel"
    wear_levelling: WearLevelling | None = None
    architecture: Architecture | None = None
    write_circuits: WriteCircuits | None = None
    accounting: Literal["physical", "neurosim"] = "physical"

    @model_validator(mode="before")
    @classmethod
    def _load_device(cls, data: Any) -> Any:
        if isinstance(data, Mapping) and isinstance(data.get("device"), str):
            return {**data, "device": DeviceModel.load(data["device"])}
        return data

    @model_validator(mode="after")
    def _slices_fit_levels(self) -> Self:
        bits, levels = self.tile.slice_bits, self.device.levels
        if bits is not None and levels is not None and 2**bits > levels:
            raise SpecError(
                f"Hardware: slice_bits = {bits} needs {2**bits} levels, but {self.device.name} has {levels} levels; "
                f"take at most {levels.bit_length() - 1} bits per slice"
            )
        return self

    @model_validator(mode="after")
    def _flipped_codes_hold_every_sum(self) -> Self:
        levels, most = self.cell_levels, self.adc.steps
        if self.adc.codes != "flipped" or self.adc.exact or levels is None:
            return self
        if self.dac.drive != "bit_serial":
            raise SpecError(
                "Hardware: adc.codes = 'flipped' counts levels under one-bit drives; set dac.drive = 'bit_serial', or "
                "choose adc.codes = 'mid_tread'"
            )
        largest = self.tile.rows * (levels - 1)
        if largest > most:
            raise SpecError(
                f"Hardware: {self.tile.rows} rows of cells with {levels} levels sum up to {largest} levels, and "
                f"adc.codes = 'flipped' of {self.adc.bits} bits tells sums up to {most} apart; take at most "
                f"{most // (levels - 1)} rows or more bits"
            )
        return self

    @model_validator(mode="after")
    def _check_accounting(self) -> Self:
        if self.accounting == "neurosim" and (self.write_circuits is None or self.tile.access == "passive"):
            raise SpecError(
                "Hardware: accounting = 'neurosim' bills the lines of 1T1R arrays; give [write_circuits] with their "
                "capacitances and tile.access = '1T1R', or keep accounting = 'physical'"
            )
        return self

    @classmethod
    def load(cls, name: str | Path) -> Hardware:
        """Hardware of the library by name, or any hardware by the path of its TOML file.

        In the file `device` is a library name, a path (relative to the file) or a whole device table.
        """
        path = Path(name) if str(name).endswith(".toml") else shelf_path("hardware", str(name))
        document = read_toml(path)
        device = document.get("device")
        if isinstance(device, str) and device.endswith(".toml"):
            document = {**document, "device": str(path.parent / device)}
        return cls.from_document(document, where=str(path))

    def without(self, *non_idealities: str) -> Self:
        """A copy with some non-idealities switched off: any of NON_IDEALITIES."""
        parts = self._physical_parts()
        for name in non_idealities:
            if name not in NON_IDEALITIES:
                raise SpecError(f"no non-ideality '{name}'{nearest(name, list(NON_IDEALITIES))}")
            parts = NON_IDEALITIES[name].without(parts)
        return self.replace(**parts._asdict())

    def ideal(self) -> Self:
        """A copy with every non-ideality off: its mapped models equal the digital ones."""
        return self.without(*NON_IDEALITIES)

    @property
    def active_non_idealities(self) -> tuple[str, ...]:
        """Which non-idealities are on."""
        parts = self._physical_parts()
        return tuple(name for name, one in NON_IDEALITIES.items() if one.is_on(parts))

    def _physical_parts(self) -> Parts:
        return Parts(self.device, self.tile, self.dac, self.adc)

    @property
    def unbilled(self) -> tuple[str, ...]:
        """Ledger components that this design does not describe, and that are therefore never billed."""
        design = self.architecture
        stated: dict[Billed, bool] = {
            "always": True,
            "passive array": self.tile.access == "passive",
            "write circuits": self.write_circuits is not None,
            "architecture": False,
            "activation memory": self.digital.activation_memory is not None,
            "DRAM": self.digital.dram is not None,
            "leaking architecture": design is not None and design.leakage > 0,
        }
        billed = {component.name for component in LEDGER_COMPONENTS if stated[component.billed]}
        if design is not None:
            billed -= design.replaced()
            billed |= {part.billed_as for part in design.components if part.costs}
        return tuple(name for name in COMPONENTS if name not in billed)

    @property
    def cell_levels(self) -> int | None:
        """Levels of one cell: the device's, or those of a slice's digits; None without levels."""
        bits, levels = self.tile.slice_bits, self.device.levels
        return levels if bits is None or levels is None else 2**bits

    @property
    def cells_stay_on_levels(self) -> bool:
        """Whether every cell stands exactly on a level: no programming error, drift or disturbance."""
        device = self.device
        settled = device.retention is None and device.disturbance is None
        return device.levels is not None and device.programs_exactly and settled

    def sources(self) -> list[str]:
        """Citation keys of everything this hardware states."""
        keys = set(self.device.sources())
        for part in self._parts().values():
            keys |= {note.source for note in part.provenance.values()}
        if self.adc.energy_model in ADC_ENERGY_SOURCES:
            keys.add(ADC_ENERGY_SOURCES[self.adc.energy_model])
        return sorted(keys)

    def _parts(self) -> dict[str, SourcedSpec]:
        """Everything but the device's laws that states numbers, by the name of its table."""
        parts: dict[str, SourcedSpec] = {
            "device": self.device,
            "tile": self.tile,
            "dac": self.dac,
            "adc": self.adc,
            "digital": self.digital,
        }
        if self.digital.activation_memory is not None:
            parts["activation memory"] = self.digital.activation_memory
        if self.digital.unit is not None:
            parts["digital unit"] = self.digital.unit
        if self.write_circuits is not None:
            parts["write_circuits"] = self.write_circuits
        if self.architecture is not None:
            parts["architecture"] = self.architecture
            parts |= {f"{part.level}: {part.name}": part for part in self.architecture.components}
        return parts

    def provenance(self) -> list[dict[str, str]]:
        """One record per number: part, name, value with unit, source, where, kind, valid range."""
        rows: list[dict[str, str]] = []
        for part, spec in self._parts().items():
            for key, note in spec.provenance.items():
                value = engineering(getattr(spec, key), spec.unit_of(key))
                rows.append(
                    {
                        "part": part,
                        "name": key,
                        "value": value,
                        "source": note.source,
                        "where": note.where,
                        "kind": note.kind,
                        "valid": note.valid,
                    }
                )
        if self.adc.energy_model in ADC_ENERGY_SOURCES:
            where, valid = ADC_ENERGY_NOTES[self.adc.energy_model]
            rows.append(
                {
                    "part": "adc",
                    "name": "energy",
                    "value": engineering(self.adc.energy, "J"),
                    "source": ADC_ENERGY_SOURCES[self.adc.energy_model],
                    "where": where,
                    "kind": "fitted",
                    "valid": valid,
                }
            )
        for key, law in self.device.laws().items():
            rows.append(
                {
                    "part": "device",
                    "name": key,
                    "value": str(law),
                    "source": law.source,
                    "where": law.where,
                    "kind": law.kind,
                    "valid": law.valid,
                }
            )
        return rows

    def __str__(self) -> str:
        device, tile = self.device, self.tile
        levelling = self.wear_levelling
        return "\n".join(
            [
                f"Hardware {self.name}",
                f"  device       {device.name}, {engineering(device.g_min, 'S')} to {engineering(device.g_max, 'S')}, "
                f"{device.levels or 'continuous'} levels, {device.programming}",
                f"  tile         {tile}",
                *(_wire_lines(tile) if tile.wired else []),
                f"  DAC          {self.dac.bits} bit{' (exact)' * self.dac.exact}, "
                f"{engineering(self.dac.energy, 'J')} per conversion",
                f"  ADC          {self.adc.bits} bit{' (exact)' * self.adc.exact}, {self.adc.range} range, "
                f"{engineering(self.adc.energy, 'J')} per conversion",
                f"  SRAM         {engineering(self.digital.sram_read, 'J')} read, "
                f"{engineering(self.digital.sram_write, 'J')} write per 32-bit word",
                f"  digital      {self.digital.precision}, {_speed_of(self.digital.unit)}",
                f"  backward     {self.backward}",
                *([f"  wear         {levelling.policy}, interval {levelling.interval}"] if levelling else []),
                f"  accounting   {self.accounting}; ADC energy: {self.adc.energy_model}",
                *textwrap.wrap(
                    f"not billed   {', '.join(self.unbilled) or 'nothing is left out'}",
                    110,
                    initial_indent="  ",
                    subsequent_indent=" " * 15,
                ),
                f"  non-ideal    {', '.join(self.active_non_idealities) or 'nothing: every non-ideality is off'}",
                f"  sources      {', '.join(self.sources())}",
            ]
        )


def _wire_lines(tile: TileSpec) -> list[str]:
    line, bit, driver, sense = (engineering(getattr(tile, name), "ohm") for name in WIRE_RESISTANCES)
    return [
        f"  wires        {line} per word-line and {bit} per bit-line segment, driver {driver}, sense {sense}"
        f"{', driven at both ends' * tile.double_sided}",
        "               exact effective matrix; read-noise variance through it to first order",
    ]


def _speed_of(unit: DigitalUnit | None) -> str:
    if unit is None:
        return "takes no time: no digital.unit is stated"
    rate = engineering(unit.units * min(unit.add_rate, unit.multiply_rate), "MAC/s")
    memory = engineering(unit.units * unit.memory_bandwidth, "bit/s")
    return f"{unit.units} units, in all {rate} in float32, memory {memory}"


def hardware_names() -> list[str]:
    """Names of the hardware that ships with the package."""
    return shelf_names("hardware")
