"""Named questions with their tables; `xbar study NAME` runs one."""

from __future__ import annotations

from importlib import import_module

from benchmarks.studies.base import Study
from crossbar_sim import SpecError
from crossbar_sim.spec.spec import nearest

STUDIES = {
    "wear-policies": "wear_policies.WearPolicies",
    "one-write": "one_write.OneWrite",
    "ntk-against-fine-tuning": "ntk_against_fine_tuning.NTKAgainstFineTuning",
    "ntk-on-chip": "ntk_on_chip.NTKOnChip",
    "in-context": "in_context.InContext",
    "billing-cost": "billing_cost.BillingCost",
    "exploration-ladder": "exploration_ladder.ExplorationLadder",
    "changed-shares": "changed_shares.ChangedShares",
}
"""Name on the command line -> module and class in this room; imported when it is asked for."""


def find_study(name: str) -> type[Study]:
    """The study called `name`; SpecError names the nearest."""
    if name not in STUDIES:
        raise SpecError(f"no study '{name}'{nearest(name, list(STUDIES))}")
    module, _, kind = STUDIES[name].partition(".")
    study: type[Study] = getattr(import_module(f"benchmarks.studies.{module}"), kind)
    return study
