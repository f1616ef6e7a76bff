"""Mapping quality of the default backbone on a chip design."""

from __future__ import annotations

from benchmarks.experiments.experiment import CALIBRATION_IMAGES, deploy
from benchmarks.problems.tasks import base_data
from crossbar_sim import Hardware
from crossbar_sim.quality.report import Quality, quality


def backbone_quality(hardware: Hardware, backbone: str = "digits_vit", *, each: bool = False, seed: int = 0) -> Quality:
    """Put a backbone on tiles, calibrate as an experiment does, and measure on 64 images it was not calibrated with."""
    model, _ = deploy(backbone, hardware, seed)
    return quality(model, base_data().validation.tensor[:CALIBRATION_IMAGES], each=each, seed=seed)
