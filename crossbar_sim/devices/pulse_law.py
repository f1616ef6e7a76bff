"""The law of a device's pulses: the numbers that compiled code needs, each by its name."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from crossbar_sim.devices.pulse_response.base import Steps


class Polarity(NamedTuple):
    """The pulses of one polarity.

    steps: how far one moves a cell on average
    voltage: of one pulse, volt
    width: of one pulse, seconds
    """

    steps: Steps
    voltage: float
    width: float


class PulseLaw(NamedTuple):
    """Everything that programming needs to know of a device, and of the circuit that senses its verify reads.

    g_min, g_max: ends of the window, siemens
    cycle_to_cycle: standard deviation of one pulse's move, relative to its mean
    window_spread: standard deviation of one pulse's move that does not depend on its mean, siemens
    least_factor: smallest factor of the mean move: 0, or -infinity where pulses may reverse
    up, down: SET pulses and RESET pulses
    access_resistance: in series with the cell, ohm
    compliance_voltage: limits the current of a SET pulse to this times the conductance, volt; infinite: no limit
    acceptance: a verify read accepts a cell so near to its target, siemens
    most_pulses: of one write-verify loop
    read_voltage, read_time: of one verify read, volt and seconds
    sense_energy: of sensing one verify read, joule
    """

    g_min: float
    g_max: float
    cycle_to_cycle: float
    window_spread: float
    least_factor: float
    up: Polarity
    down: Polarity
    access_resistance: float
    compliance_voltage: float
    acceptance: float
    most_pulses: float
    read_voltage: float
    read_time: float
    sense_energy: float


STEPS = np.dtype([(name, np.float64) for name in Steps._fields])
POLARITY = np.dtype([("steps", STEPS), ("voltage", np.float64), ("width", np.float64)])
PULSE_LAW = np.dtype([(name, POLARITY if name in ("up", "down") else np.float64) for name in PulseLaw._fields])


def record_of(law: PulseLaw) -> NDArray[np.void]:
    """The law as one record by the same names: it crosses into compiled code faster than a tuple of 28 numbers."""
    return np.array([law], PULSE_LAW)
