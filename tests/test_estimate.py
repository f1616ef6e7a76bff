"""Counts of models too large to simulate, against the numbers published for them."""

from __future__ import annotations

import pytest

from benchmarks.estimate import estimate
from crossbar_sim import MappingError, SpecError, map_model
from crossbar_sim.hardware import Hardware
from peft_methods import LoRAFusion, MethodError, Pool
from tests.conftest import tiny_net, tiny_pool

HARDWARE = "milo2021_128x128"


@pytest.mark.parametrize(
    ("method", "trained", "pool_cells", "trained_cells"),
    [
        ("lorafusion", 148_416, 2 * 94_371_840, 0),  # 20 x 48 coefficients + 144 x 1024 magnitudes
        ("lora", 4_718_592, 0, 2 * 4_718_592),  # 144 modules x 2 x 16 x 1024
        ("full-fine-tuning", 717_225_984, 0, 2 * 717_225_984),
    ],
)
def test_flan_t5_large(method: str, trained: int, pool_cells: int, trained_cells: int) -> None:
    record = estimate("flan-t5-large", method, HARDWARE)
    assert record["trained_values"] == trained
    assert record["pool_cells"] == pool_cells
    assert record["trained_cells"] == trained_cells
    assert record["backbone_weights"] == 717_225_984
    assert record["tiles"] >= (record["backbone_cells"] + pool_cells) / 128**2


def test_counts_agree_with_a_simulated_chip(milo: Hardware) -> None:
    from benchmarks.backbones import load_backbone
    from benchmarks.pretrain import POOL_FOLDER

    model, pool = load_backbone(), Pool.load(POOL_FOLDER / "digits_vit")
    chip = map_model(model, milo)
    adapter = LoRAFusion().attach(model, chip, pool)
    record = estimate("digits-vit", "lorafusion", HARDWARE)
    assert record["trained_values"] == adapter.trained_values
    assert record["tiles"] == chip.plan.tile_count
    assert record["backbone_cells"] + record["pool_cells"] == chip.plan.cells_used
    assert record["pool_cells"] == chip.ledger.writes("pool")


def test_refusals() -> None:
    with pytest.raises(SpecError, match="did you mean 'flan-t5-large'"):
        estimate("flan-t5-huge", "lora", HARDWARE)
    with pytest.raises(SpecError, match="did you mean 'lorafusion'"):
        estimate("flan-t5-large", "lora-fusion", HARDWARE)
    with pytest.raises(MethodError, match="no digital nn.Linear called 'head'"):
        estimate("flan-t5-large", "linear-probe", HARDWARE)
    model = tiny_net()
    chip = map_model(model, Hardware.load(HARDWARE))
    LoRAFusion().attach(model, chip, tiny_pool(model))
    with pytest.raises(MappingError, match="already holds a matrix"):
        chip.matrix("blocks.0.up", model.blocks[0]["up"].base.weight)
