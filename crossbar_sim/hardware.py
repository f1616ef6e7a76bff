"""Hardware: the one spec a user names; device, tile, converters and digital periphery."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import model_validator

from crossbar_sim.converters import ADC, ADC_ENERGY_SOURCE, DAC
from crossbar_sim.devices import DeviceModel
from crossbar_sim.digital import Digital
from crossbar_sim.errors import SpecError
from crossbar_sim.library import shelf_names, shelf_path
from crossbar_sim.mapping import WIRE_RESISTANCES, TileSpec
from crossbar_sim.spec import SourcedSpec, Spec, nearest, read_toml
from crossbar_sim.units import engineering

NON_IDEALITIES = ("levels", "programming_error", "read_noise", "faults", "wires", "dac", "adc")


class Hardware(Spec):
    """A chip design. `backward` says what gradients pass through: 'analog' (the transposed noisy tiles with
    converters), 'noise_free' (the achieved conductances, exact) or 'ideal' (the float master copy)."""

    name: str
    device: DeviceModel
    tile: TileSpec
    dac: DAC
    adc: ADC
    digital: Digital
    backward: Literal["analog", "noise_free", "ideal"] = "analog"
    programming_order: Literal["row_parallel", "cell_serial"] = "row_parallel"

    @model_validator(mode="before")
    @classmethod
    def _load_device(cls, data: Any) -> Any:
        if isinstance(data, Mapping) and isinstance(data.get("device"), str):
            return {**data, "device": DeviceModel.load(data["device"])}
        return data

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
        changes: dict[str, Any] = {}
        device = self.device
        for name in non_idealities:
            if name not in NON_IDEALITIES:
                raise SpecError(f"no non-ideality '{name}'{nearest(name, list(NON_IDEALITIES))}")
            if name == "dac":
                changes["dac"] = self.dac.replace(exact=True)
            elif name == "adc":
                changes["adc"] = self.adc.replace(exact=True)
            elif name == "wires":
                changes["tile"] = self.tile.without_wires()
            elif name == "faults":
                device = device.replace(stuck_at_lrs=None, stuck_at_hrs=None, lifetime=None)
            elif name == "programming_error":
                device = device.without_programming_error()
            else:
                device = device.replace(**{name: None})
        return self.replace(**changes, device=device)

    def ideal(self) -> Self:
        """A copy with every non-ideality off: its mapped models equal the digital ones."""
        return self.without(*NON_IDEALITIES)

    @property
    def active_non_idealities(self) -> tuple[str, ...]:
        """Which non-idealities are on."""
        on = {
            "levels": self.device.levels is not None,
            "programming_error": not self.device.programs_exactly,
            "read_noise": self.device.read_noise is not None,
            "wires": self.tile.wired,
            "faults": bool(self.device.stuck_at_lrs or self.device.stuck_at_hrs or self.device.lifetime),
            "dac": not self.dac.exact,
            "adc": not self.adc.exact,
        }
        return tuple(name for name in NON_IDEALITIES if on[name])

    def sources(self) -> list[str]:
        """Citation keys of everything this hardware states."""
        keys = {ADC_ENERGY_SOURCE, *self.device.sources()}
        for part in (self.tile, self.dac, self.adc, self.digital):
            keys |= {note.source for note in part.provenance.values()}
        return sorted(keys)

    def provenance(self) -> list[dict[str, str]]:
        """One record per number: part, name, value with unit, source, where, kind, valid range."""
        rows: list[dict[str, str]] = []
        parts: dict[str, SourcedSpec] = {
            "device": self.device, "tile": self.tile, "dac": self.dac, "adc": self.adc, "digital": self.digital,
        }  # fmt: skip
        for part, spec in parts.items():
            for key, note in spec.provenance.items():
                value = engineering(getattr(spec, key), spec.unit_of(key))
                rows.append({"part": part, "name": key, "value": value, "source": note.source,
                             "where": note.where, "kind": note.kind, "valid": note.valid})  # fmt: skip
        rows.append({"part": "adc", "name": "energy", "value": engineering(self.adc.energy, "J"),
                     "source": ADC_ENERGY_SOURCE, "where": "regression on the Murmann survey, best 20 %",
                     "kind": "fitted", "valid": "4-14 bits, up to 10 GS/s"})  # fmt: skip
        for key, law in self.device.laws().items():
            rows.append({"part": "device", "name": key, "value": str(law), "source": law.source,
                         "where": law.where, "kind": law.kind, "valid": law.valid})  # fmt: skip
        return rows

    def __str__(self) -> str:
        device, tile = self.device, self.tile
        return "\n".join([
            f"Hardware {self.name}",
            f"  device       {device.name}, {engineering(device.g_min, 'S')} to {engineering(device.g_max, 'S')}, "
            f"{device.levels or 'continuous'} levels, {device.programming}",
            f"  tile         {tile.rows} x {tile.columns} cells, differential pairs, one scale per {tile.scale}",
            *(_wire_lines(tile) if tile.wired else []),
            f"  DAC          {self.dac.bits} bit{' (exact)' * self.dac.exact}, "
            f"{engineering(self.dac.energy, 'J')} per conversion",
            f"  ADC          {self.adc.bits} bit{' (exact)' * self.adc.exact}, {self.adc.range} range, "
            f"{engineering(self.adc.energy, 'J')} per conversion",
            f"  SRAM         {engineering(self.digital.sram_read, 'J')} read, "
            f"{engineering(self.digital.sram_write, 'J')} write per 32-bit word",
            f"  backward     {self.backward}",
            f"  non-ideal    {', '.join(self.active_non_idealities) or 'nothing: every non-ideality is off'}",
            f"  sources      {', '.join(self.sources())}",
        ])  # fmt: skip


def _wire_lines(tile: TileSpec) -> list[str]:
    line, bit, driver, sense = (engineering(getattr(tile, name), "ohm") for name in WIRE_RESISTANCES)
    return [
        f"  wires        {line} per word-line and {bit} per bit-line segment, driver {driver}, sense {sense}"
        f"{', driven at both ends' * tile.double_sided}",
        "               exact effective matrix; read-noise variance through it to first order",
    ]


def hardware_names() -> list[str]:
    """Names of the hardware that ships with the package."""
    return shelf_names("hardware")
