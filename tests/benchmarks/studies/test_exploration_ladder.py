"""The comparison of searches: shares of what the whole space has to offer."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.studies.exploration_ladder import ExplorationLadder
from crossbar_sim import SpecError

CHIPS = """
name = "chips"
method = "frozen"
[vary]
"tile.rows" = [32, 64, 128, 256]
"tile.columns" = [32, 64, 128, 256]
"adc.bits" = {bits}
[objectives]
array_operations_per_J = "max"
chip_operations_per_s = "max"
"""


def test_more_designs_cover_more_of_the_front_and_nothing_covers_more_than_all(tmp_path: Path) -> None:
    file = tmp_path / "chips.toml"
    file.write_text(CHIPS.format(bits="{ from = 4, to = 7 }"), encoding="utf-8")
    study = ExplorationLadder(
        suite=str(file), designs=(16, 64), samplers=("nsga2",), seeds=(0, 1), workers=1, runs=tmp_path / "runs"
    )
    few, all_of_them, *others = study.run().records
    assert few.hypervolume_share <= all_of_them.hypervolume_share <= 1 + 1e-9
    assert few.hypervolume_share_least <= few.hypervolume_share
    assert 0 < few.cost_share < all_of_them.cost_share <= 1 + 1e-9
    assert {one.search for one in others} == {"nsga2", "random"}
    assert "nsga2, ladder" in str(study.run())


def test_a_space_without_end_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "chips.toml"
    file.write_text(CHIPS.format(bits='{ from = 4, to = 8 }\n"adc.sample_rate" = { from = 1e8, to = 1e9 }'))
    with pytest.raises(SpecError, match="no end"):
        ExplorationLadder(suite=str(file), workers=1, runs=tmp_path / "runs").run()
