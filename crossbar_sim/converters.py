"""DAC and ADC: resolution, range and energy per conversion."""

from __future__ import annotations

import math
from typing import Annotated, Literal

from pydantic import Field

from crossbar_sim.errors import SpecError
from crossbar_sim.spec import SourcedSpec
from crossbar_sim.units import Hertz, Joule, Meter

ADC_ENERGY_SOURCE = "andrulis2024adc"


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
    """

    bits: Annotated[int, Field(ge=2, le=14)]
    exact: bool = False
    range: Literal["calibrated", "full_scale"] = "calibrated"
    sample_rate: Annotated[Hertz, Field(gt=0)]
    technology: Annotated[Meter, Field(gt=0)]
    columns_per_adc: Annotated[int, Field(ge=1)]

    @property
    def steps(self) -> int:
        """Largest code."""
        return 2 ** (self.bits - 1) - 1

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
