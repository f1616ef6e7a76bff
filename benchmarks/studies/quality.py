"""Mapping quality of the default backbone on a chip design."""

from __future__ import annotations

import copy

from benchmarks.experiments.experiment import CALIBRATION_IMAGES, calibrate
from benchmarks.problems.backbones import load_backbone
from benchmarks.problems.tasks import base_data
from crossbar_sim import Hardware, map_model
from crossbar_sim.quality.report import Quality, quality


def backbone_quality(hardware: Hardware, backbone: str = "digits_vit", *, each: bool = False, seed: int = 0) -> Quality:
    """Put a backbone on tiles, calibrate as an experiment does, and measure on 64 images it was not calibrated with."""
    model = copy.deepcopy(load_backbone(backbone))
    chip = map_model(model, hardware, seed=seed)
    calibrate(model, chip)
    return quality(model, base_data().validation_images[:CALIBRATION_IMAGES], each=each, seed=seed)
