"""Everything that a hardware file may state: devices, tiles, converters, digital periphery, architecture."""

from crossbar_sim.hardware.hardware import Hardware, hardware_names
from crossbar_sim.hardware.non_idealities import NON_IDEALITIES

__all__ = ["NON_IDEALITIES", "Hardware", "hardware_names"]
