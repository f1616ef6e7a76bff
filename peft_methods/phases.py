"""Phases: what a chip is doing while its ledger bills, from the deployment of a model to its inferences."""

from __future__ import annotations

from typing import Literal, get_args

Phase = Literal["deploy", "pool", "adapt/forward", "adapt/backward", "adapt/update", "infer"]
PHASES: tuple[Phase, ...] = get_args(Phase)
"""deploy: the model is programmed and calibrated; pool: what a method adds and never changes is programmed; adapt: the
training steps, in three parts; infer: everything else."""
GROUPS = tuple(dict.fromkeys(phase.split("/")[0] for phase in PHASES))
"""What a bill adds the phases up to: deploy, pool, adapt, infer."""

DEPLOY: Phase = "deploy"
POOL: Phase = "pool"
FORWARD: Phase = "adapt/forward"
BACKWARD: Phase = "adapt/backward"
UPDATE: Phase = "adapt/update"
INFER: Phase = "infer"
ADAPT = "adapt"
"""The group of the three parts of a training step."""
