"""The report of an exploration shows what was found, and nothing that was not."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.explore.course import explore
from benchmarks.explore.engines import Local
from benchmarks.explore.findings import Findings
from benchmarks.explore.importance import importances
from benchmarks.reporting.exploration_report import ExplorationReport
from benchmarks.reporting.figures.draw import draw
from benchmarks.reporting.figures.style import svg
from tests.benchmarks.explore.small import exploration, of_chips


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Findings:
    return explore(exploration(), engine=Local(1), runs=tmp_path_factory.mktemp("explored"), progress=False)


@pytest.fixture(scope="module")
def report(found: Findings) -> ExplorationReport:
    return ExplorationReport(found, found)


def test_the_table_has_the_front_and_the_ladder(report: ExplorationReport, found: Findings) -> None:
    text = report.table()
    assert [row["design"] for row in report.rows()] == [str(one.number) for one in found.front]
    assert len(report.ladder()) == 2
    assert "What decides the total energy: tile.rows" in text
    assert all(len(line) <= 120 for line in text.splitlines() if not line.startswith(("design", "---")))


def test_the_page_is_whole(report: ExplorationReport, tmp_path: Path) -> None:
    page = report.save(tmp_path / "x.html").read_text(encoding="utf-8")
    assert page.count("<svg") == 5
    assert "12 designs with what is known of each" in page
    for absent in (">nan<", "± nan", "None</td>", "http-equiv", "<script"):
        assert absent not in page


def test_every_figure_is_drawn_and_saved(report: ExplorationReport, tmp_path: Path) -> None:
    names = {path.stem for path in report.save_figures(tmp_path)}
    assert names == {"front", "hypervolume", "parallel", "importance", "slices"}
    assert "on the front" in svg(draw(report))


def test_the_size_of_a_tile_decides_the_energy(found: Findings) -> None:
    shares = importances(found, "total_energy_J")
    assert max(shares, key=lambda path: shares[path]) == "tile.rows"
    assert sum(shares.values()) == pytest.approx(1.0)


def test_few_designs_say_nothing_of_importance(tmp_path: Path) -> None:
    few = of_chips(search={"designs": 6, "sampler": "random"})
    found = explore(few, engine=Local(1), runs=tmp_path, progress=False)
    assert importances(found, "array_operations_per_J") == {}
    assert "too few designs to say" in ExplorationReport(found).html()
