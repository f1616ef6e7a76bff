"""The share of the trained cells that a step rewrites: what is measured, between and beyond it, what is stated."""

from __future__ import annotations

import pytest

from benchmarks.estimates.changed_share import BOUND, STATED, MeasuredShares, changed_share, measured_shares
from benchmarks.estimates.counted import Workload
from benchmarks.estimates.estimate import estimate
from crossbar_sim import SpecError
from crossbar_sim.counting.activity import Activity
from peft_methods import IA3, LoRA, LoRAFA, WriteVerify

HARDWARE = "milo2021_128x128"
TABLE = MeasuredShares(
    command="by hand",
    problem="a problem",
    hardware="a chip",
    tasks=("a",),
    seeds=(0,),
    shares=[
        {"method": "lora", "rule": "write_verify", "steps": 10, "share": 0.08, "low": 0.06, "high": 0.1, "runs": 2},
        {"method": "lora", "rule": "write_verify", "steps": 1000, "share": 0.02, "low": 0.02, "high": 0.03, "runs": 2},
        {"method": "dora", "rule": "write_verify", "steps": 75, "share": 0.5, "low": 0.4, "high": 0.6, "runs": 1},
    ],
)


@pytest.mark.parametrize(
    ("method", "steps", "share", "low"),
    [
        ("lora", 1, 0.08, 0.06),
        ("lora", 10, 0.08, 0.06),
        ("lora", 100, 0.04, (0.06 * 0.02) ** 0.5),
        ("lora", 1000, 0.02, 0.02),
        ("lora", 10**6, 0.02, 0.02),
        ("dora", 3, 0.5, 0.4),
        ("dora", 300, 0.5, 0.4),
    ],
)
def test_between_two_measured_numbers_of_steps_and_beyond_them(
    method: str, steps: int, share: float, low: float
) -> None:
    found = TABLE.of(method, "write_verify", steps)
    assert found is not None and (found.share, found.low) == pytest.approx((share, low))
    assert found.low <= found.share <= found.high and "by hand" in found.source


def test_what_was_not_measured_is_the_bound_and_what_is_stated_is_that() -> None:
    assert TABLE.of("ia3", "write_verify", 75) is None
    for method in (
        LoRAFA(placement="crossbar"),
        LoRA(update_rule=WriteVerify(every=5)),
        LoRA(update_rule="sign_pulses"),
    ):
        found = changed_share(method, 75)
        assert (found.share, found.low, found.high, found.source) == (1.0, 0.0, 1.0, BOUND)
    stated = changed_share(LoRA(), 75, 0.25)
    assert (stated.share, stated.low, stated.high, stated.source) == (0.25, 0.25, 0.25, STATED)
    assert changed_share(IA3(), 75).source != BOUND


def test_the_shipped_table_falls_with_the_steps_and_says_how_it_was_made() -> None:
    table = measured_shares()
    assert table.command == "xbar study changed-shares" and {row.rule for row in table.shares} == {"write_verify"}
    for name in {row.method for row in table.shares}:
        rows = sorted((row for row in table.shares if row.method == name), key=lambda row: row.steps)
        assert [row.steps for row in rows] == [10, 75, 200]
        assert [row.share for row in rows] == sorted((row.share for row in rows), reverse=True)
        assert all(0 < row.low <= row.share <= row.high < 0.3 for row in rows)


def test_an_estimate_prints_the_range_and_the_bound_that_counting_there_gives() -> None:
    workload = Workload(calibration=0, inferences=0)
    record = estimate("digits-vit", "lora", HARDWARE, workload=workload)
    low, high = record.changed_share_range
    assert low < record.changed_share < high < 0.05 and "xbar study changed-shares" in record.changed_share_source
    ends = (low, *record.reprogramming_energy_range_J[:1]), (high, *record.reprogramming_energy_range_J[1:])
    for share, energy in (*ends, (1.0, record.reprogramming_energy_bound_J)):
        there = estimate("digits-vit", "lora", HARDWARE, workload=workload, activity=Activity(changed_share=share))
        assert energy == pytest.approx(there.reprogramming_energy_J, rel=1e-9)
        assert there.changed_share_range == (share, share) and there.changed_share_source == STATED


def test_beside_no_write_stands_what_a_method_costs_instead() -> None:
    record = estimate("digits-vit", "lorafusion", HARDWARE, workload=Workload(calibration=0, inferences=0))
    line = next(line for line in str(record).splitlines() if line.startswith("cells_written_per_step"))
    assert "0; instead a pool of 258,048 cells, programmed once for" in line and "SRAM, of which" in line


def test_a_share_beyond_the_bound_is_refused() -> None:
    with pytest.raises(SpecError, match="less than or equal to 1"):
        changed_share(LoRA(), 75, 1.5)
