"""Which training samples a run sees: few-shot draws, and what is set aside for validation."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from crossbar_sim import CrossbarError
from peft_methods.training.samples import Samples

VALIDATION_SHARE = 5
MOST_VALIDATION = 500


class DrawError(CrossbarError, ValueError):
    """So many samples, or such a seed, do not exist."""


def draw(samples: Samples, shots: int, seed: int) -> Tensor:
    """Places of `shots` samples of each class, or of `shots` in all where labels are not one class each.

    The choice follows `seed` alone. DrawError if there are not as many.
    """
    if not 0 <= seed < 2**32:
        raise DrawError(f"seed is {seed}; choose an integer from 0 to 2**32 - 1")
    stream = np.random.RandomState(seed)
    labels = samples.labels
    if labels.ndim != 1 or labels.is_floating_point():
        groups = [np.arange(len(labels))]
    else:
        groups = [np.flatnonzero(labels.numpy() == label) for label in labels.unique(sorted=True).tolist()]
    smallest = min(map(len, groups))
    if not 1 <= shots <= smallest:
        each = "of each class" if len(groups) > 1 else ""
        raise DrawError(
            f"shots_per_class is {shots}; the task has {smallest} training samples {each}".rstrip()
            + f", so choose 1 to {smallest}"
        )
    return torch.from_numpy(np.concatenate([stream.permutation(group)[:shots] for group in groups]))


def set_aside(samples: Samples) -> tuple[Samples, Samples]:
    """Samples to train on and others to validate on, the same for everybody; DrawError for fewer than five."""
    held = min(len(samples) // VALIDATION_SHARE, MOST_VALIDATION)
    if held == 0:
        raise DrawError(
            f"{len(samples)} training samples are too few to set some aside for validation; give `validation`, or at "
            f"least {VALIDATION_SHARE} samples"
        )
    order = torch.from_numpy(np.random.RandomState(0).permutation(len(samples)))
    return samples.take(order[held:].sort().values), samples.take(order[:held].sort().values)
