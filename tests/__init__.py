from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
"""The folder of the checkout."""


def one_of_each(cases: Sequence[Any], ids: Sequence[str], member: Callable[[Any], Hashable]) -> list[Any]:
    """The parameters of a table of cases. The first case of every member of its family is run in CI, the rest of them
    are `whole`."""
    seen: set[Hashable] = set()
    parameters = []
    for case, name in zip(cases, ids, strict=True):
        of = member(case)
        parameters.append(pytest.param(case, id=name, marks=pytest.mark.whole if of in seen else ()))
        seen.add(of)
    return parameters
