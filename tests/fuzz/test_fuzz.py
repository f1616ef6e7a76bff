"""300 hostile cases with a seed; python -m tests.fuzz tries more."""

from __future__ import annotations

import pytest

from tests.fuzz.families import FAMILIES
from tests.fuzz.run import run, table

SHARE = {"specs": 75, "files": 75, "tensors": 75, "adapters": 75}


@pytest.mark.slow
@pytest.mark.parametrize("name", list(FAMILIES))
def test_every_answer_is_sensible_or_a_short_sentence(name: str) -> None:
    outcomes = list(run(name, FAMILIES[name], seed=0, cases=range(SHARE[name]), limit=20.0))
    assert all(outcome.allowed for outcome in outcomes), table(outcomes, 0)
    assert any(outcome.kind == "ok" for outcome in outcomes)
