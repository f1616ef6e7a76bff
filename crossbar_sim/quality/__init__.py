"""How well matrices compute on a chip: calibration, probes and a report."""
