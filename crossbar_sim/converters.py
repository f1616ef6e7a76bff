"""DAC and ADC: resolution, range and energy per conversion."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from crossbar_sim.adc_energy import check_neurosim_sar, neurosim_sar_energy, survey_energy
from crossbar_sim.errors import SpecError
from crossbar_sim.spec import SourcedSpec
from crossbar_sim.units import Hertz, Joule, Meter, Ohm, Watt


class DAC(SourcedSpec):
    """Drives one word line with a signed value: v = round(x / max|x| * (2^(bits-1) - 1)) / (2^(bits-1) - 1).

    The largest magnitude of each input vector sets its scale (a digital multiplication before and after).
    `exact = True` switches the rounding off; the conversion still costs energy.
    """

    bits: Annotated[int, Field(ge=2, le=16)]
    exact: bool = False
    energy_per_bit: Annotated[Joule, Field(ge=0)]

    @property
    def steps(self) -> int:
        """Largest code."""
        return 2 ** (self.bits - 1) - 1

    @property
    def energy(self) -> float:
        """Joule per conversion (one word line, one vector)."""
        return self.bits * self.energy_per_bit


class ADC(SourcedSpec):
    """Reads one column current: mid-tread, round half to even, clipped at the range.

    range = 'calibrated': each tile's range register follows the largest current seen in training mode;
    'full_scale': rows x read voltage x window, which no noise-free sum inside the window can exceed.
    `exact = True` switches rounding and clipping off; the conversion still costs energy.

    energy_model = 'survey' (regression on the Murmann survey), 'stated' (`power` of one ADC / sample_rate) or
    'neurosim_sar' (NeuroSim's SAR, at `column_resistance` as seen at 0.5 V, ohm).
    """

    bits: Annotated[int, Field(ge=2, le=14)]
    exact: bool = False
    range: Literal["calibrated", "full_scale"] = "calibrated"
    sample_rate: Annotated[Hertz, Field(gt=0)]
    technology: Annotated[Meter, Field(gt=0)]
    columns_per_adc: Annotated[int, Field(ge=1)]
    energy_model: Literal["survey", "stated", "neurosim_sar"] = "survey"
    power: Annotated[Watt, Field(ge=0)] | None = None
    column_resistance: Annotated[Ohm, Field(gt=0)] | None = None

    @model_validator(mode="after")
    def _check_energy_model(self) -> Self:
        for key, model in (("power", "stated"), ("column_resistance", "neurosim_sar")):
            if (getattr(self, key) is not None) != (self.energy_model == model):
                raise SpecError(f"ADC: {key} and energy_model = '{model}' go together; give both or neither")
        if self.energy_model == "neurosim_sar":
            check_neurosim_sar(self.technology)
        return self

    @property
    def steps(self) -> int:
        """Largest code."""
        return 2 ** (self.bits - 1) - 1

    @property
    def energy(self) -> float:
        """Joule per conversion, by `energy_model`."""
        if self.power is not None:
            return self.power / self.sample_rate
        if self.column_resistance is not None:
            return neurosim_sar_energy(self.bits, self.technology, self.column_resistance)
        return survey_energy(self.bits, self.technology, self.sample_rate)
