"""DAC and ADC: resolution, range and energy per conversion."""

from __future__ import annotations

from functools import cached_property
from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from crossbar_sim.hardware.adc_circuits import CIRCUITS
from crossbar_sim.hardware.adc_energy import check_neurosim_sar, neurosim_sar_energy, survey_energy
from crossbar_sim.spec.errors import SpecError
from crossbar_sim.spec.spec import SourcedSpec, nearest
from crossbar_sim.spec.units import Hertz, Joule, Meter, Ohm, One, Watt


class DAC(SourcedSpec):
    """Drives one word line with a signed value: v = round(x / m * (2^(bits-1) - 1)) / (2^(bits-1) - 1).

    drive = 'multi_level': all bits in one read; 'bit_serial': one read at full voltage per magnitude bit, a shift-add
    after each. range = 'vector': m is the largest magnitude of each input vector (a digital multiplication before and
    after); 'calibrated': one register per matrix, which follows the largest magnitude seen in training mode, and what
    is larger is clipped. `exact = True` switches the rounding off (and reads once); the conversion still costs energy.
    """

    bits: Annotated[int, Field(ge=2, le=16)]
    exact: bool = False
    drive: Literal["multi_level", "bit_serial"] = "multi_level"
    range: Literal["vector", "calibrated"] = "vector"
    energy_per_bit: Annotated[Joule, Field(ge=0)]

    @cached_property
    def steps(self) -> int:
        """Largest code."""
        return 2 ** (self.bits - 1) - 1

    @cached_property
    def reads(self) -> int:
        """Reads of the cells per vector."""
        return self.bits - 1 if self.drive == "bit_serial" and not self.exact else 1

    @cached_property
    def energy(self) -> float:
        """Joule per conversion (one word line, one vector, all its reads)."""
        return self.bits * self.energy_per_bit


class ADC(SourcedSpec):
    """Reads one column current, clipped at the range.

    codes = 'mid_tread': 2^bits - 1 codes with one at zero; 'mid_rise': 2^bits codes, none at zero, the first and the
    last at the ends of the range; 'flipped': 2^bits codes from zero, for one-bit drives of whole levels, where a column
    whose sum could pass the largest code is stored as its complement (Shafiee et al. 2016). Together they tell
    2 (2^bits - 1) + 1 sums apart, so a tile needs rows (levels - 1) <= 2 (2^bits - 1). The current of the lowest state
    and of references is taken off digitally, by the unit column that counts the driven rows. The simulation stores
    every column as it is.

    range = 'calibrated': each tile's range register follows the largest current seen in training mode; 'full_scale':
    rows x read voltage x window (with mapping 'offset', columns of single cells, x g_max), which no noise-free sum
    inside the window can exceed; 'granular': one code is the current of one conductance level at the smallest input.

    circuit = 'uniform' rounds to the nearest code (ties to even); 'sar' compares with sums of binary capacitors, 'ramp'
    with a staircase, whose unit capacitors or steps spread by `mismatch` (relative standard deviation). Each converter
    also has a gain off by `gain_error` (relative) and an offset of `offset_error` (codes): standard deviations, drawn
    once per converter. `exact = True` switches all of it off; the conversion still costs energy.

    energy_model = 'survey' (regression on the Murmann survey), 'stated' (`power` of one ADC / sample_rate) or
    'neurosim_sar' (NeuroSim's SAR, at `column_resistance` as seen at 0.5 V, ohm).
    """

    bits: Annotated[int, Field(ge=2, le=14)]
    exact: bool = False
    circuit: str = "uniform"
    codes: Literal["mid_tread", "mid_rise", "flipped"] = "mid_tread"
    mismatch: Annotated[One, Field(ge=0, le=0.5)] = 0.0
    gain_error: Annotated[One, Field(ge=0, le=0.5)] = 0.0
    offset_error: Annotated[One, Field(ge=0, le=16_384)] = 0.0
    range: Literal["calibrated", "full_scale", "granular"] = "calibrated"
    sample_rate: Annotated[Hertz, Field(ge=1e-3, le=1e15)]
    technology: Annotated[Meter, Field(ge=1e-10, le=1e-3)]
    columns_per_adc: Annotated[int, Field(ge=1, le=16_384)]
    energy_model: Literal["survey", "stated", "neurosim_sar"] = "survey"
    power: Annotated[Watt, Field(ge=0)] | None = None
    column_resistance: Annotated[Ohm, Field(gt=0)] | None = None

    @field_validator("circuit")
    @classmethod
    def _check_circuit(cls, name: str) -> str:
        if name not in CIRCUITS:
            raise SpecError(f"ADC: no circuit '{name}'{nearest(name, list(CIRCUITS))}")
        return name

    @model_validator(mode="after")
    def _check_energy_model(self) -> Self:
        for key, model in (("power", "stated"), ("column_resistance", "neurosim_sar")):
            if (getattr(self, key) is not None) != (self.energy_model == model):
                raise SpecError(f"ADC: {key} and energy_model = '{model}' go together; give both or neither")
        if self.energy_model == "neurosim_sar":
            check_neurosim_sar(self.technology)
        return self

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.codes == "flipped" and not (self.range == "granular" and self.plain):
            raise SpecError(
                "ADC: codes = 'flipped' counts whole levels: it needs range = 'granular', circuit = 'uniform' and no "
                "gain or offset error; set these, or choose codes = 'mid_tread'"
            )
        if self.mismatch and not CIRCUITS[self.circuit].has_units:
            with_units = " or ".join(f"'{name}'" for name, circuit in CIRCUITS.items() if circuit.has_units)
            raise SpecError(f"ADC: mismatch belongs to circuit = {with_units}; choose one, or leave mismatch out")
        return self

    @cached_property
    def steps(self) -> int:
        """Largest code of a mid-tread converter; largest sum of a flipped one, in its codes."""
        return 2 * (2**self.bits - 1) if self.codes == "flipped" else 2 ** (self.bits - 1) - 1

    @cached_property
    def code_count(self) -> int:
        """Codes between the ends of the range."""
        return 2**self.bits - (self.codes == "mid_tread")

    @cached_property
    def plain(self) -> bool:
        """Whether rounding to the nearest code, with one at zero, is all it does."""
        return self.circuit == "uniform" and self.codes != "mid_rise" and not (self.gain_error or self.offset_error)

    @cached_property
    def energy(self) -> float:
        """Joule per conversion, by `energy_model`."""
        if self.power is not None:
            return self.power / self.sample_rate
        if self.column_resistance is not None:
            return neurosim_sar_energy(self.bits, self.technology, self.column_resistance)
        return survey_energy(self.bits, self.technology, self.sample_rate)
