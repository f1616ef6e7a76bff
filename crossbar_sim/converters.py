"""DAC and ADC: resolution, range and energy per conversion."""

from __future__ import annotations

import math
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from crossbar_sim.errors import SpecError
from crossbar_sim.spec import SourcedSpec
from crossbar_sim.units import Hertz, Joule, Meter, One

ADC_ENERGY_SOURCE = "andrulis2024adc"


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

    @property
    def steps(self) -> int:
        """Largest code."""
        return 2 ** (self.bits - 1) - 1

    @property
    def reads(self) -> int:
        """Reads of the cells per vector."""
        return self.bits - 1 if self.drive == "bit_serial" and not self.exact else 1

    @property
    def energy(self) -> float:
        """Joule per conversion (one word line, one vector, all its reads)."""
        return self.bits * self.energy_per_bit


class ADC(SourcedSpec):
    """Reads one column current, clipped at the range.

    codes = 'mid_tread': 2^bits - 1 codes with one at zero; 'mid_rise': 2^bits codes, none at zero, the first and the
    last at the ends of the range. range = 'calibrated': each tile's range register follows the largest current seen in
    training mode; 'full_scale': rows x read voltage x window, which no noise-free sum inside the window can exceed;
    'granular': one code is the current of one conductance level at the smallest input.

    circuit = 'uniform' rounds to the nearest code (ties to even); 'sar' compares with sums of binary capacitors, 'ramp'
    with a staircase, whose unit capacitors or steps spread by `mismatch` (relative standard deviation). Each converter
    also has a gain off by `gain_error` (relative) and an offset of `offset_error` (codes): standard deviations, drawn
    once per converter. `exact = True` switches all of it off; the conversion still costs energy.
    """

    bits: Annotated[int, Field(ge=2, le=14)]
    exact: bool = False
    circuit: Literal["uniform", "sar", "ramp"] = "uniform"
    codes: Literal["mid_tread", "mid_rise"] = "mid_tread"
    mismatch: Annotated[One, Field(ge=0, le=0.5)] = 0.0
    gain_error: Annotated[One, Field(ge=0, le=0.5)] = 0.0
    offset_error: Annotated[One, Field(ge=0)] = 0.0
    range: Literal["calibrated", "full_scale", "granular"] = "calibrated"
    sample_rate: Annotated[Hertz, Field(gt=0)]
    technology: Annotated[Meter, Field(gt=0)]
    columns_per_adc: Annotated[int, Field(ge=1)]

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.circuit == "uniform" and self.mismatch:
            raise SpecError("ADC: mismatch belongs to circuit = 'sar' or 'ramp'; choose one, or leave mismatch out")
        return self

    @property
    def steps(self) -> int:
        """Largest code of a mid-tread converter."""
        return 2 ** (self.bits - 1) - 1

    @property
    def code_count(self) -> int:
        """Codes between the ends of the range."""
        return 2**self.bits - (self.codes == "mid_tread")

    @property
    def plain(self) -> bool:
        """Whether rounding to the nearest mid-tread code is all it does."""
        return self.circuit == "uniform" and self.codes == "mid_tread" and not (self.gain_error or self.offset_error)

    @property
    def energy(self) -> float:
        """Joule per conversion, by `survey_energy`."""
        return survey_energy(self.bits, self.technology, self.sample_rate)


def survey_energy(bits: float, technology: float, sample_rate: float) -> float:
    """Energy of one conversion in joule: regression on the Murmann ADC survey, its best 20 %.

    E = 0.5 * 10^(-(FOMS - SNDR)/10) * exp(24.579 + 1.880 ln(nm) - 2.829 ln(b)) pJ with
    FOMS = min(213.78 - 2.872 ln(f), 128.31 + 3.221 ceil(b)) and SNDR = 6.0206 b + 1.7609 dB.

    Arguments: bits (effective, >= 4 in the survey; fewer bits are billed as 4), technology in metres,
    sample_rate in samples per second (<= 1e10).
    Source: Andrulis, Chen, Lee, Emer, Sze, "Modeling analog-digital-converter energy and area for
    compute-in-memory accelerator design", arXiv:2404.06553, and its published model coefficients.
    """
    if not 0 < sample_rate <= 1e10:
        raise SpecError(f"ADC sample_rate must be in (0, 1e10] samples per second, got {sample_rate:g}")
    bits = max(bits, 4.0)
    figure_of_merit = min(
        213.78066873 - 2.87190304 * math.log(sample_rate), 128.30682874 + 3.22051152 * math.ceil(bits)
    )
    sndr = 6.0206 * bits + 1.7609
    picojoule = (
        0.5
        * 10 ** (-(figure_of_merit - sndr) / 10)
        * math.exp(26.04962157 + 1.88003692 * math.log(technology * 1e9) - 2.82912561 * math.log(bits) - 1.47020221)
    )
    return picojoule * 1e-12
