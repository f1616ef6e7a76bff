"""Importance: how much of an objective each varied parameter decides."""

from __future__ import annotations

import logging
import warnings

import optuna

from benchmarks.explore.findings import Findings
from benchmarks.explore.objectives import COUNTED
from benchmarks.explore.samplers import distribution
from benchmarks.explore.space import Choices, Plain

FEWEST = 10
"""Designs that a statement on importance needs."""


def importances(findings: Findings, objective: str) -> dict[str, float]:
    """Free parameter -> its share of what decides whether a design is good in an objective, the largest first.

    Over all designs whose value on the first rung is known and that have all parameters; none if there are fewer than
    FEWEST or all are equal. PED-ANOVA (Watanabe, Bansal and Hutter, IJCAI 2023), as in Optuna.
    """
    free = findings.exploration.space.free
    goal = findings.exploration.objectives[objective]
    rows: list[tuple[dict[str, Plain], float]] = []
    for one in findings.designs:
        if set(free) <= set(one.point):
            value = one.count_of(objective) if objective in COUNTED else None
            if objective not in COUNTED and 0 in one.seeds:
                samples = one.samples(objective, 0, False)
                value = sum(samples) / len(samples)
            if value is not None:
                rows.append((one.point, value))
    if len(rows) < FEWEST or len({value for _, value in rows}) == 1:
        return {}
    logging.getLogger("optuna").setLevel(logging.WARNING)
    study = optuna.create_study(direction="minimize" if goal == "min" else "maximize")
    distributions = {path: distribution(parameter) for path, parameter in free.items()}
    for point, value in rows:
        params = {path: asked_of(parameter, point[path]) for path, parameter in free.items()}
        trial = optuna.trial.create_trial(value=value, params=params, distributions=distributions)
        study.add_trial(trial)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = optuna.importance.get_param_importances(
            study, evaluator=optuna.importance.PedAnovaImportanceEvaluator()
        )
    return {path: float(share) for path, share in found.items()}


def asked_of(parameter: object, value: Plain) -> object:
    """A value in Optuna's words."""
    if isinstance(parameter, Choices):
        place = parameter.place(value)
        return place if isinstance(distribution(parameter), optuna.distributions.IntDistribution) else str(place)
    return value
