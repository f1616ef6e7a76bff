"""Floor plans: the tiles of a simulated chip, their roles, chips, and the drawing."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.estimates.floor_plan import ROLES, plan_of
from benchmarks.reporting.figures.draw import draw_to
from benchmarks.reporting.figures.floor_plan import ACROSS, shelves
from crossbar_sim import Hardware, SpecError, map_model
from peft_methods import LoRA

HARDWARE = "milo2021_128x128"
TOML = """
name = "two-blocks"
tokens = 5
rank = 2
layers = [
  {name = "blocks.{i}.up", inputs = 200, outputs = 70, repeat = 2, bias = true},
  {name = "blocks.{i}.down", inputs = 70, outputs = 200, repeat = 2, products = 1000},
]
"""


def test_plan_equals_that_of_a_simulated_chip(milo: Hardware) -> None:
    from benchmarks.problems.backbones import load_backbone

    model = load_backbone()
    chip = map_model(model, milo)
    LoRA().attach(model, chip)
    plan = plan_of("digits-vit", "lora", milo)
    assert plan.tiles() == chip.plan.tile_count and plan.cells() == chip.plan.cells_used
    assert plan.utilisation() == pytest.approx(chip.plan.utilisation)
    assert [block.name for block in plan.blocks] == list(chip.matrices)
    assert plan.tiles("pool") == 0 < plan.tiles("trained")


def test_roles_add_up_and_chips_round_up() -> None:
    plan = plan_of("digits-vit", "lorafusion", HARDWARE, tiles_per_chip=48)
    assert sum(plan.tiles(role) for role in ROLES) == plan.tiles() == 61
    assert plan.chips == 2 and plan.record().chips == 2
    assert plan_of("digits-vit", "lorafusion", HARDWARE).chips is None
    with pytest.raises(SpecError, match="tiles_per_chip must be at least 1"):
        plan_of("digits-vit", "lora", HARDWARE, tiles_per_chip=0)


def test_a_model_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(TOML, encoding="utf-8")
    plan = plan_of(str(path), "lora", HARDWARE)
    names = [block.name for block in plan.blocks if block.role == "backbone"]
    assert names == ["blocks.0.up", "blocks.0.down", "blocks.1.up", "blocks.1.down"]
    up, down = plan.blocks[0], plan.blocks[1]
    assert (up.down, up.across, down.down, down.across) == (2, 2, 1, 4)


def test_blocks_do_not_overlap() -> None:
    placed, height = shelves(plan_of("digits-vit", "lorafusion", HARDWARE).blocks)
    corners = [(left, top, left + block.across, top + block.down) for block, left, top in placed]
    assert all(right <= ACROSS and bottom <= height for _, _, right, bottom in corners)
    for index, (left, top, right, bottom) in enumerate(corners):
        for other in corners[:index]:
            assert left >= other[2] or right <= other[0] or top >= other[3] or bottom <= other[1]


@pytest.mark.parametrize("ending", ["svg", "png"])
def test_figures_are_written(ending: str, tmp_path: Path) -> None:
    for model, method in (("digits-vit", "lora"), ("vit-b-16", "lora")):
        path = draw_to(tmp_path / f"{model}.{ending}", plan_of(model, method, HARDWARE))
        assert path.stat().st_size > 2000
    with pytest.raises(SpecError, match=r"choose one of these endings"):
        draw_to(tmp_path / "plan.bmp", plan_of("digits-vit", "lora", HARDWARE))
