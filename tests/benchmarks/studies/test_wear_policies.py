"""The study of wear policies: same tasks for all, lifetimes from the cells that were written."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.cli import main
from benchmarks.studies.wear_policies import POLICIES, WearPolicyFindings, measure


@pytest.mark.parametrize("policy", list(POLICIES))
def test_a_policy_keeps_its_chip_working_and_its_counts_true(policy: str) -> None:
    record = measure(policy, adaptations=1, steps=6)
    assert 0.1 < record.accuracy <= 1
    assert record.max_writes_per_cell >= record.mean_writes_per_cell > 0
    assert record.adaptations_until_wearout <= record.adaptations_until_wearout_levelled
    assert record.reprogramming_energy_J > 0
    assert policy in str(WearPolicyFindings((record,)))


def test_a_threshold_writes_less(tmp_path: Path) -> None:
    main(
        [
            "study",
            "wear-policies",
            "--adaptations",
            "1",
            "--policies",
            "none",
            "write threshold",
            "--json",
            str(tmp_path / "p.json"),
        ]
    )
    none, held = json.loads((tmp_path / "p.json").read_text())
    assert held["cell_writes"] < none["cell_writes"] and held["reprogramming_energy_J"] < none["reprogramming_energy_J"]
