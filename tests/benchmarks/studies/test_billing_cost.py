"""The measurement of what billing costs."""

from __future__ import annotations

import pytest

from benchmarks.studies.billing_cost import Stopwatch, billing_shares


def test_a_stopwatch_counts_what_is_nested_once() -> None:
    watch = Stopwatch()
    inner = watch.around(lambda: watch.seconds)
    assert watch.around(inner)() == 0 < watch.seconds and not watch.running
    with pytest.raises(ZeroDivisionError):
        watch.around(lambda: 1 / 0)()
    assert not watch.running


def test_shares_of_a_step() -> None:
    records = billing_shares(("full-fine-tuning",), steps=3, turns=1)
    assert [(row["method"], row["access"]) for row in records] == [
        ("full-fine-tuning", "1T1R"),
        ("full-fine-tuning", "passive"),
    ]
    assert all(0 < row["billing_s"] < row["step_s"] and 0 < row["billing_share"] < 1 for row in records)
