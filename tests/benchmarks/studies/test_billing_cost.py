"""The measurement of what billing costs."""

from __future__ import annotations

import cProfile
import time

import pytest

from benchmarks.studies.billing_cost import billing_shares, share_of


def wait() -> None:
    time.sleep(0.02)


def wait_twice() -> None:
    wait()
    wait()


def work() -> None:
    wait_twice()
    time.sleep(0.04)


def test_what_is_nested_counts_once() -> None:
    profile = cProfile.Profile()
    profile.runcall(work)
    assert share_of(profile, (wait, wait_twice)) == pytest.approx(0.5, abs=0.15)
    assert share_of(profile, (wait,)) == pytest.approx(share_of(profile, (wait_twice,)), abs=0.01)
    assert share_of(profile, ()) == 0


def test_shares_of_a_step() -> None:
    records = billing_shares(("full-fine-tuning",), steps=3, turns=1)
    assert [(row.method, row.access) for row in records] == [
        ("full-fine-tuning", "1T1R"),
        ("full-fine-tuning", "passive"),
    ]
    assert all(0 < row.billing_s < row.step_s and 0 < row.billing_share < 1 for row in records)
