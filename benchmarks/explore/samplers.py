"""Samplers: which designs are proposed next. A batch depends on the space, the seed and the batches before it alone."""

from __future__ import annotations

import hashlib
import logging
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from threadpoolctl import threadpool_limits

from benchmarks.explore.space import Choices, Parameter, Plain, Point, Space

if TYPE_CHECKING:
    import optuna

Sampler = Literal["auto", "grid", "random", "sobol", "nsga2", "tpe", "gp"]
"""grid: every point; random and sobol: without learning; nsga2, tpe, gp: of Optuna, learning from what was reached."""
LEARNING = ("nsga2", "tpe", "gp")
FEW, MANY = 30, 500
"""Below FEW designs nothing can be learned; from MANY on, generations beat models."""
Distributions = dict[str, "optuna.distributions.BaseDistribution"]


@dataclass(frozen=True)
class Told:
    """What became of a proposed design.

    values: of the objectives, all to be small; None: refused. excess: by how much constraints are violated, by name.
    """

    asked: Mapping[str, Any]
    attributes: Mapping[str, Any]
    values: tuple[float, ...] | None
    excess: Mapping[str, float]


@dataclass(frozen=True)
class Proposal:
    """A point; `asked` and `attributes`: what a sampler that learns wants to hear of it again."""

    point: Point
    asked: Mapping[str, Any]
    attributes: Mapping[str, Any]


def chosen(sampler: Sampler, space: Space, designs: int, learning: bool | None) -> Sampler:
    """What 'auto' means: the grid where it fits; else by how many designs there are and what learns from them:
    the sampler from simulations (True) or from counting (False), or nothing here (None)."""
    if sampler != "auto":
        return sampler
    if space.size is not None and space.size <= designs:
        return "grid"
    if designs < FEW or learning is None:
        return "sobol"
    return "tpe" if learning and designs < MANY else "nsga2"


def propose(
    sampler: Sampler, space: Space, number: int, size: int, seed: int, told: Sequence[Told], objectives: int
) -> list[Proposal]:
    """The designs of batch `number`, `size` of them; fewer where a grid ends."""
    if sampler == "grid":
        return [Proposal(point, {}, {}) for point in islice(space.points(), number * size, (number + 1) * size)]
    if sampler == "random":
        shares = np.random.default_rng([seed, number]).random((size, len(space.free)))
    elif sampler == "sobol":
        from scipy.stats import qmc

        total = (number + 1) * size
        unit = qmc.Sobol(len(space.free), rng=np.random.default_rng(seed))
        shares = unit.random_base2(max(total - 1, 1).bit_length())[number * size : total]
    else:
        return _learned(sampler, space, number, size, seed, told, objectives)
    return [Proposal(space.at(row.tolist()), {}, {}) for row in shares]


def _learned(
    sampler: Sampler, space: Space, number: int, size: int, seed: int, told: Sequence[Told], objectives: int
) -> list[Proposal]:
    """A study of Optuna is made anew in memory from what is known, and asked `size` times."""
    import optuna

    logging.getLogger("optuna").setLevel(logging.WARNING)
    distributions = {path: distribution(one) for path, one in space.free.items()}
    study = optuna.create_study(
        directions=["minimize"] * objectives, sampler=_sampler(sampler, size, _seed(seed, number))
    )
    for one in told:
        study.add_trial(_trial(one, distributions))
    found = []
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        for _ in range(size):
            trial = study.ask(distributions)
            values = {path: _value(space.free[path], value) for path, value in trial.params.items()}
            noted = study.get_trials(deepcopy=False)[trial.number].system_attrs
            found.append(Proposal(space.point(values), trial.params, dict(noted)))
    return found


def _seed(seed: int, number: int) -> int:
    """Of one batch."""
    return int.from_bytes(hashlib.sha256(f"{seed} {number}".encode()).digest()[:4], "little")


def _sampler(name: Sampler, size: int, seed: int) -> optuna.samplers.BaseSampler:
    import optuna

    if name == "nsga2":
        return optuna.samplers.NSGAIISampler(population_size=max(size, 2), seed=seed)
    if name == "tpe":
        return optuna.samplers.TPESampler(seed=seed)
    return optuna.samplers.GPSampler(seed=seed, deterministic_objective=False)


def _trial(one: Told, distributions: Distributions) -> optuna.trial.FrozenTrial:
    import optuna

    state = optuna.trial.TrialState
    return optuna.trial.create_trial(
        state=state.FAIL if one.values is None else state.COMPLETE,
        values=one.values,
        params=dict(one.asked),
        distributions=distributions,
        system_attrs=dict(one.attributes),
        constraints=dict(one.excess) if one.values is not None and one.excess else None,
    )


def in_order(parameter: Parameter) -> bool:
    """Whether its choices are numbers, so that places in the list say how near two are."""
    return isinstance(parameter, Choices) and all(
        isinstance(value, int | float) and not isinstance(value, bool) for value in parameter.values
    )


def distribution(parameter: Parameter) -> optuna.distributions.BaseDistribution:
    """A parameter in the words of Optuna; of choices, their places."""
    import optuna

    if isinstance(parameter, Choices):
        if in_order(parameter):
            return optuna.distributions.IntDistribution(0, len(parameter.values) - 1)
        return optuna.distributions.CategoricalDistribution([str(place) for place in range(len(parameter.values))])
    if parameter.whole:
        return optuna.distributions.IntDistribution(int(parameter.low), int(parameter.high), log=parameter.log)
    return optuna.distributions.FloatDistribution(float(parameter.low), float(parameter.high), log=parameter.log)


def _value(parameter: Parameter, asked: Any) -> Plain:
    """What Optuna's word for a value stands for."""
    if isinstance(parameter, Choices):
        return parameter.values[int(asked)]
    return int(asked) if parameter.whole else float(f"{asked:.6g}")
