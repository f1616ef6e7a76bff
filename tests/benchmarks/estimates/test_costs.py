"""What reprogramming costs over an axis: the pool once, every adaptation anew, and where two methods break even."""

from __future__ import annotations

import pytest

from benchmarks.estimates.costs import break_even, costs
from benchmarks.estimates.counted import Workload
from benchmarks.estimates.estimate import estimate
from crossbar_sim import SpecError


@pytest.mark.parametrize(
    ("pool", "adaptation", "other", "tasks"),
    [(12.0, 0.0, 2.0, 6.0), (12.0, 1.0, 3.0, 6.0), (12.0, 3.0, 1.0, None), (0.0, 0.0, 1.0, None)],
)
def test_break_even(pool: float, adaptation: float, other: float, tasks: float | None) -> None:
    assert break_even(pool, adaptation, 0.0, other) == tasks


def test_a_pool_is_paid_once_and_adaptations_every_time() -> None:
    found = costs(methods=("lora", "lorafusion"), values=("1", "10")).found
    energy = {(row.method, row.x): row.reprogramming_energy_J for row in found.records}
    assert energy["lorafusion", 10.0] == energy["lorafusion", 1.0] > energy["lora", 1.0]
    assert energy["lora", 10.0] == pytest.approx(10 * energy["lora", 1.0])
    workload = Workload(calibration=0, inferences=0)
    counted = estimate("digits-vit", "lora", "milo2021_128x128", workload=workload)
    assert energy["lora", 1.0] == pytest.approx(counted.reprogramming_energy_J)
    (pair,) = found.break_even
    assert (pair.first, pair.second) == ("lorafusion", "lora") and pair.break_even_tasks is not None
    assert pair.break_even_tasks == pytest.approx(energy["lorafusion", 1.0] / energy["lora", 1.0])
    low, high = pair.assumed_range
    assert low is not None and high is not None and low < pair.break_even_tasks < high


@pytest.mark.parametrize("number", [0, -1, 10**9 + 1, 10**400])
def test_numbers_that_cannot_be_are_refused(number: int) -> None:
    with pytest.raises(SpecError, match="^--values: .* give numbers") as error:
        costs("rank", ("lora",), [str(number)])
    assert len(str(error.value)) <= 400
    with pytest.raises(SpecError, match="^tasks: .* give 1 to 1000000000"):
        costs("rank", ("lora",), ["1"], tasks=number)


def test_refusals() -> None:
    with pytest.raises(SpecError, match="did you mean 'tasks'"):
        costs("task")
    with pytest.raises(SpecError, match="give numbers"):
        costs(methods=("lora",), values=("many",))
