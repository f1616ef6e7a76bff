"""Energy of an analog-digital converter: published models, each under its name."""

from __future__ import annotations

import math
from functools import cache
from types import MappingProxyType

from crossbar_sim.spec.errors import SpecError

ADC_ENERGY_SOURCES = MappingProxyType({"survey": "andrulis2024adc", "neurosim_sar": "neurosim"})
"""The paper behind each model with coefficients of its own; 'stated' has the source of the stated power."""
NEUROSIM_SAR = MappingProxyType(
    {
        130: (8.4483, 65.243, 0.16938, 2.303),
        65: (3.7506, 25.844, 0.12127, 2.303),
        45: (2.1691, 16.693, 0.10023, 2.303),
        32: (1.1294, 8.8998, 0.079449, 2.297),
        22: (0.538, 4.3753, 0.072341, 2.303),
        14: (0.3132, 2.5681, 0.06109, 2.303),
        7: (0.1061, 0.8847, 0.04356, 2.303),
    }
)
"""Node in nm: (uW per bit, uW, W, decay per decade of resistance), low-standby-power transistors."""
NEUROSIM_SAR_CYCLE = 1e-9


@cache
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


def neurosim_sar_energy(bits: float, technology: float, column_resistance: float, temperature: float = 300.0) -> float:
    """Joule of one conversion: E = (a b + c + k exp(-q log10 R)) (b + 1) ns (1 + 1.3e-3 (T - 300 K)).

    Arguments: bits, technology in metres (one of NEUROSIM_SAR), column_resistance in ohm as seen at 0.5 V (a column of
    R ohm read at V volt counts as R 0.5 / V), temperature in kelvin.
    Raises SpecError for a node without coefficients. Source: the SAR model of DNN+NeuroSim.
    """
    a, c, k, decay = check_neurosim_sar(technology)
    power = (a * bits + c) * 1e-6 + k * math.exp(-decay * math.log10(column_resistance))
    return power * neurosim_sar_time(bits) * (1 + 1.3e-3 * (temperature - 300.0))


def neurosim_sar_time(bits: float) -> float:
    """Seconds of one conversion: one cycle of 1 ns per bit, and one more. Source: as `neurosim_sar_energy`."""
    return (bits + 1) * NEUROSIM_SAR_CYCLE


def check_neurosim_sar(technology: float) -> tuple[float, float, float, float]:
    """The coefficients for a node in metres; SpecError where there are none."""
    node = round(technology * 1e9)
    if node not in NEUROSIM_SAR:
        nodes = ", ".join(str(known) for known in sorted(NEUROSIM_SAR))
        raise SpecError(f"NeuroSim's SAR model has no coefficients for {node} nm; valid nodes: {nodes} nm")
    return NEUROSIM_SAR[node]
