"""Everything that a hardware file may state: devices, tiles, converters, digital periphery, architecture."""

from crossbar_sim.hardware.hardware import NON_IDEALITIES, Hardware, hardware_names

__all__ = ["NON_IDEALITIES", "Hardware", "hardware_names"]
